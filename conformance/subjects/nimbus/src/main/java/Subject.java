import com.nimbusds.jose.JOSEException;
import com.nimbusds.jose.JOSEObjectType;
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.jwk.source.JWKSourceBuilder;
import com.nimbusds.jose.proc.BadJOSEException;
import com.nimbusds.jose.proc.DefaultJOSEObjectTypeVerifier;
import com.nimbusds.jose.proc.JWSVerificationKeySelector;
import com.nimbusds.jose.proc.SecurityContext;
import com.nimbusds.jwt.JWTClaimsSet;
import com.nimbusds.jwt.SignedJWT;
import com.nimbusds.jwt.proc.DefaultJWTClaimsVerifier;
import com.nimbusds.jwt.proc.DefaultJWTProcessor;
import com.nimbusds.oauth2.sdk.ParseException;
import com.nimbusds.oauth2.sdk.dpop.JWKThumbprintConfirmation;
import com.nimbusds.oauth2.sdk.dpop.verifiers.AccessTokenValidationException;
import com.nimbusds.oauth2.sdk.dpop.verifiers.DPoPIssuer;
import com.nimbusds.oauth2.sdk.dpop.verifiers.DPoPProtectedResourceRequestVerifier;
import com.nimbusds.oauth2.sdk.dpop.verifiers.InMemoryDPoPSingleUseChecker;
import com.nimbusds.oauth2.sdk.dpop.verifiers.InvalidDPoPProofException;
import com.nimbusds.oauth2.sdk.token.DPoPAccessToken;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Executors;

/** The verifiers of the Nimbus SDK behind the HTTP server of the JDK. */
public class Subject {
    private static final String ORIGIN = System.getenv("ORIGIN");
    private static final String ISSUER = System.getenv("ISSUER");

    private final DefaultJWTProcessor<SecurityContext> tokens = new DefaultJWTProcessor<>();
    private final DPoPProtectedResourceRequestVerifier proofs = new DPoPProtectedResourceRequestVerifier(
        Set.of(JWSAlgorithm.ES256, JWSAlgorithm.ES384, JWSAlgorithm.ES512, JWSAlgorithm.RS256, JWSAlgorithm.PS256),
        10, 60, new InMemoryDPoPSingleUseChecker(120, 60));

    Subject() throws IOException {
        tokens.setJWSTypeVerifier(new DefaultJOSEObjectTypeVerifier<>(new JOSEObjectType("at+jwt"),
            new JOSEObjectType("application/at+jwt")));
        tokens.setJWSKeySelector(new JWSVerificationKeySelector<>(JWSAlgorithm.ES256,
            JWKSourceBuilder.create(new URL(ISSUER + "/jwks")).build()));
        tokens.setJWTClaimsSetVerifier(new DefaultJWTClaimsVerifier<>(ORIGIN,
            new JWTClaimsSet.Builder().issuer(ISSUER).build(), Set.of("sub", "exp", "iat", "client_id", "jti")));
    }

    public static void main(String[] args) throws IOException {
        var address = new InetSocketAddress(InetAddress.getLoopbackAddress(), Integer.parseInt(System.getenv("PORT")));
        var server = HttpServer.create(address, 0);
        server.createContext("/resource", new Subject()::answer);
        server.setExecutor(Executors.newFixedThreadPool(16));
        server.start();
    }

    private void answer(HttpExchange exchange) throws IOException {
        exchange.getRequestBody().readAllBytes();
        String code = refusal(exchange);
        boolean head = exchange.getRequestMethod().equals("HEAD");
        if (code == null) {
            byte[] body = "ok\n".getBytes(StandardCharsets.UTF_8);
            exchange.sendResponseHeaders(200, head ? -1 : body.length);
            if (!head) {
                exchange.getResponseBody().write(body);
            }
        } else {
            exchange.getResponseHeaders().set("WWW-Authenticate",
                "DPoP " + (code.isEmpty() ? "" : "error=\"" + code + "\", ") + "algs=\"ES256 ES384 ES512 RS256 PS256\"");
            exchange.sendResponseHeaders(code.equals("invalid_request") ? 400 : 401, -1);
        }
        exchange.close();
    }

    /** The code of the refusal, empty where no credentials came; null for none. */
    private String refusal(HttpExchange exchange) {
        List<String> credentials = exchange.getRequestHeaders().getOrDefault("Authorization", List.of());
        List<String> fields = exchange.getRequestHeaders().getOrDefault("DPoP", List.of());
        if (credentials.isEmpty()) {
            return "";
        }
        if (credentials.size() != 1) {
            return "invalid_request";
        }
        if (fields.size() != 1) {
            return "invalid_dpop_proof";
        }
        try {
            DPoPAccessToken token = DPoPAccessToken.parse(credentials.get(0));
            JWTClaimsSet claims = tokens.process(token.getValue(), null);
            URI target = new URI(ORIGIN + exchange.getRequestURI().getRawPath());
            proofs.verify(exchange.getRequestMethod(), target, new DPoPIssuer(claims.getStringClaim("client_id")),
                SignedJWT.parse(fields.get(0)), token, JWKThumbprintConfirmation.parse(claims));
            return null;
        } catch (InvalidDPoPProofException e) {
            return "invalid_dpop_proof";
        } catch (ParseException e) {
            return "invalid_request";
        } catch (AccessTokenValidationException | BadJOSEException | JOSEException | java.text.ParseException
            | java.net.URISyntaxException | RuntimeException e) {
            return "invalid_token";
        }
    }
}
