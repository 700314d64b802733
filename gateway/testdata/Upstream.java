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
        if (read.equals("/upload")) { // says what has come as soon as it has
            exchange.sendResponseHeaders(200, 0);
            byte[] part = new byte[1 << 16];
            var out = exchange.getResponseBody();
            for (int n; (n = exchange.getRequestBody().read(part)) > 0;) {
                out.write((n + "\n").getBytes(StandardCharsets.UTF_8));
                out.flush();
            }
            out.write("end\n".getBytes(StandardCharsets.UTF_8));
            out.close();
            return;
        }
        if (read.equals("/download")) {
            long left = Long.parseLong(exchange.getRequestURI().getQuery().split("=")[1]);
            exchange.sendResponseHeaders(200, left);
            byte[] part = new byte[1 << 20];
            for (var out = exchange.getResponseBody(); left > 0; left -= part.length) {
                out.write(part, 0, (int) Math.min(left, part.length));
            }
            exchange.close();
            return;
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
