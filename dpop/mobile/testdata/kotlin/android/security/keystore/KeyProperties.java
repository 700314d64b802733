package android.security.keystore;

/** Stands in for Android's class of this name: what README.md uses of it. */
public abstract class KeyProperties {
  public static final String KEY_ALGORITHM_EC = "EC";
  public static final String DIGEST_NONE = "NONE";
  public static final int PURPOSE_SIGN = 4;
}
