import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;

/** A service that knows nothing of tokens, and reads paths as servlets do: decoded, without parameters of segments. */
public class Upstream {
    public static void main(String[] args) throws IOException {
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
        server.createContext("/", Upstream::answer);
        server.start();
        System.out.println("listening on " + server.getAddress().getPort());
    }

    private static void answer(HttpExchange exchange) throws IOException {
        String path = exchange.getRequestURI().getRawPath().replaceAll(";[^/]*", "");
        String read = java.net.URI.create(path.replaceAll("^/+", "/")).normalize().getPath();
        if (read.equals("/die")) {
            Runtime.getRuntime().halt(1);
        }
        if (read.equals("/die/late")) {
            exchange.sendResponseHeaders(200, 1 << 30);
            exchange.getResponseBody().write(new byte[1 << 20]);
            exchange.getResponseBody().flush();
            Runtime.getRuntime().halt(1);
        }
        String subject = exchange.getRequestHeaders().getFirst("X-Senderlock-Subject");
        byte[] body = String.join("\n", exchange.getRequestURI().toString(), read, subject == null ? "" : subject)
                .getBytes(StandardCharsets.UTF_8);
        exchange.sendResponseHeaders(200, body.length);
        try (var out = exchange.getResponseBody()) {
            out.write(body);
        }
    }
}
