import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.security.PublicKey;
import java.util.List;
import java.util.Map;
import org.keycloak.common.crypto.CryptoIntegration;
import org.keycloak.crypto.def.DefaultCryptoProvider;
import org.keycloak.crypto.ECDSASignatureVerifierContext;
import org.keycloak.crypto.KeyUse;
import org.keycloak.crypto.KeyWrapper;
import org.keycloak.jose.jwk.JWKParser;
import org.keycloak.jose.jws.JWSInput;
import org.keycloak.ssf.event.GenericSsfEvent;
import org.keycloak.ssf.event.SsfEvent;
import org.keycloak.ssf.event.caep.CaepSessionRevoked;
import org.keycloak.ssf.event.token.SsfSecurityEventToken;
import org.keycloak.ssf.subject.ComplexSubjectId;
import org.keycloak.ssf.subject.IssuerSubjectId;
import org.keycloak.ssf.subject.OpaqueSubjectId;
import org.keycloak.ssf.subject.SubjectId;
import org.keycloak.util.JsonSerialization;

/**
 * A receiver of pushed security event tokens (RFC 8935) whose reading of them is Keycloak's: signature, token, subject and
 * events. It prints what it understood.
 */
public class Receiver {
    private final KeyWrapper key = new KeyWrapper();
    private final String issuer;
    private final String audience;

    Receiver(String jwk, String issuer, String audience) {
        JWKParser parsed = JWKParser.create().parse(jwk);
        PublicKey made = parsed.toPublicKey();
        key.setKid(parsed.getJwk().getKeyId());
        key.setAlgorithm("ES256");
        key.setType("EC");
        key.setUse(KeyUse.SIG);
        key.setPublicKey(made);
        this.issuer = issuer;
        this.audience = audience;
    }

    public static void main(String[] args) throws Exception {
        CryptoIntegration.setProvider(new DefaultCryptoProvider());
        Receiver receiver = new Receiver(args[1], args[2], args[3]);
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])), 0);
        server.createContext("/events", receiver::receive);
        server.start();
        System.out.println("listening");
    }

    private void receive(HttpExchange exchange) throws IOException {
        String refusal;
        try {
            refusal = read(exchange);
        } catch (Exception e) {
            refusal = e.toString();
        }
        if (refusal == null) {
            exchange.sendResponseHeaders(202, -1);
        } else {
            System.out.println("refused: " + refusal);
            byte[] body = "{\"err\":\"invalid_request\",\"description\":\"not taken\"}".getBytes(StandardCharsets.UTF_8);
            exchange.getResponseHeaders().set("Content-Type", "application/json");
            exchange.sendResponseHeaders(400, body.length);
            exchange.getResponseBody().write(body);
        }
        exchange.close();
    }

    /** Returns what is wrong, or null. */
    private String read(HttpExchange exchange) throws Exception {
        if (!exchange.getRequestMethod().equals("POST")
            || !"application/secevent+jwt".equals(exchange.getRequestHeaders().getFirst("Content-Type"))) {
            return "method or media type";
        }
        JWSInput jws = new JWSInput(new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.US_ASCII));
        if (!"secevent+jwt".equals(jws.getHeader().getType()) || !key.getKid().equals(jws.getHeader().getKeyId())) {
            return "header";
        }
        byte[] signed = jws.getEncodedSignatureInput().getBytes(StandardCharsets.US_ASCII);
        if (!new ECDSASignatureVerifierContext(key).verify(signed, jws.getSignature())) {
            return "signature";
        }
        SsfSecurityEventToken token = JsonSerialization.readValue(jws.getContent(), SsfSecurityEventToken.class);
        if (!issuer.equals(token.getIss()) || !List.of(token.getAud()).contains(audience) || token.getJti() == null || token.getIat() == null) {
            return "claims";
        }
        SubjectId subject = token.getSubjectId();
        String session = "";
        if (subject instanceof ComplexSubjectId both) {
            subject = both.getUser();
            session = ((OpaqueSubjectId) both.getSession()).getId();
        }
        IssuerSubjectId user = (IssuerSubjectId) subject;
        for (Map.Entry<String, Object> told : token.getEvents().entrySet()) {
            Class<? extends SsfEvent> type = told.getKey().equals(CaepSessionRevoked.TYPE) ? CaepSessionRevoked.class : GenericSsfEvent.class;
            SsfEvent event = JsonSerialization.mapper.convertValue(told.getValue(), type);
            event.setEventType(told.getKey());
            event.validate();
            System.out.println("received " + told.getKey() + " at " + event.getEventTimestamp()
                + " of " + user.getIss() + " " + user.getSub() + " " + session);
        }
        return null;
    }
}
