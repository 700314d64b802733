import io.quarkus.vertx.web.Route;
import jakarta.enterprise.context.ApplicationScoped;

/** The resource server of Quarkus OIDC. */
@ApplicationScoped
public class Subject {
    @Route(regex = "/resource(/.*)?")
    String resource() {
        return "ok\n";
    }
}
