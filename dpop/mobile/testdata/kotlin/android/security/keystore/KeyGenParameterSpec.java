package android.security.keystore;

import java.security.spec.AlgorithmParameterSpec;

/** Stands in for Android's class of this name: what README.md uses of it. */
public final class KeyGenParameterSpec implements AlgorithmParameterSpec {
  public static final class Builder {
    public Builder(String alias, int purposes) {}

    public Builder setAlgorithmParameterSpec(AlgorithmParameterSpec spec) {
      return this;
    }

    public Builder setDigests(String... digests) {
      return this;
    }

    public KeyGenParameterSpec build() {
      return null;
    }
  }
}
