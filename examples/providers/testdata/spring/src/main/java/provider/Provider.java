package provider;

import java.time.Duration;
import java.util.List;
import java.util.Set;

import org.apache.catalina.connector.Connector;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.tomcat.servlet.TomcatServletWebServerFactory;
import org.springframework.boot.web.server.WebServerFactoryCustomizer;
import org.springframework.context.annotation.Bean;
import org.springframework.security.core.Authentication;
import org.springframework.security.core.GrantedAuthority;
import org.springframework.security.core.authority.FactorGrantedAuthority;
import org.springframework.security.core.userdetails.User;
import org.springframework.security.core.userdetails.UserDetailsService;
import org.springframework.security.oauth2.core.AuthorizationGrantType;
import org.springframework.security.oauth2.core.ClientAuthenticationMethod;
import org.springframework.security.oauth2.server.authorization.OAuth2TokenType;
import org.springframework.security.oauth2.server.authorization.client.InMemoryRegisteredClientRepository;
import org.springframework.security.oauth2.server.authorization.client.RegisteredClient;
import org.springframework.security.oauth2.server.authorization.client.RegisteredClientRepository;
import org.springframework.security.oauth2.server.authorization.settings.AuthorizationServerSettings;
import org.springframework.security.oauth2.server.authorization.settings.ClientSettings;
import org.springframework.security.oauth2.server.authorization.settings.OAuth2TokenFormat;
import org.springframework.security.oauth2.server.authorization.settings.TokenSettings;
import org.springframework.security.oauth2.server.authorization.token.JwtEncodingContext;
import org.springframework.security.oauth2.server.authorization.token.OAuth2TokenClaimsContext;
import org.springframework.security.oauth2.server.authorization.token.OAuth2TokenCustomizer;
import org.springframework.security.provisioning.InMemoryUserDetailsManager;

/** An authorization server whose access tokens are for one API, in the type of RFC 9068. */
@SpringBootApplication
public class Provider {
    public static void main(String[] args) {
        SpringApplication.run(Provider.class, args);
    }

    @Bean
    AuthorizationServerSettings settings(@Value("${issuer}") String issuer) {
        return AuthorizationServerSettings.builder().issuer(issuer).build();
    }

    @Bean
    UserDetailsService users() {
        return new InMemoryUserDetailsManager(User.withUsername("alice").password("{noop}wonderland").roles("USER").build());
    }

    @Bean
    RegisteredClientRepository clients(@Value("${web}") String web, @Value("${certificate}") String certificate) {
        return new InMemoryRegisteredClientRepository(List.of(
            machine("machine").tokenSettings(life(Duration.ofMinutes(5)).build()).build(),
            machine("expiring").tokenSettings(life(Duration.ofSeconds(5)).build()).build(),
            machine("opaque").tokenSettings(life(Duration.ofMinutes(5)).accessTokenFormat(OAuth2TokenFormat.REFERENCE).build()).build(),
            machine("certificate")
                .clientAuthenticationMethods(methods -> methods.clear())
                .clientAuthenticationMethod(ClientAuthenticationMethod.TLS_CLIENT_AUTH)
                .clientSettings(ClientSettings.builder().x509CertificateSubjectDN(certificate).build())
                .tokenSettings(life(Duration.ofMinutes(5)).x509CertificateBoundAccessTokens(true).build()).build(),
            app(),
            web("web", web, Duration.ofMinutes(5)),
            web("short-web", web, Duration.ofSeconds(5))));
    }

    private static TokenSettings.Builder life(Duration life) {
        return TokenSettings.builder().accessTokenTimeToLive(life);
    }

    private static RegisteredClient.Builder machine(String id) {
        return RegisteredClient.withId(id).clientId(id).clientSecret("{noop}" + id + "-secret")
            .clientAuthenticationMethod(ClientAuthenticationMethod.CLIENT_SECRET_BASIC)
            .authorizationGrantType(AuthorizationGrantType.CLIENT_CREDENTIALS)
            .scopes(s -> s.addAll(Set.of("read", "write")));
    }

    private static RegisteredClient app() {
        return RegisteredClient.withId("app").clientId("app")
            .clientAuthenticationMethod(ClientAuthenticationMethod.NONE)
            .authorizationGrantType(AuthorizationGrantType.AUTHORIZATION_CODE)
            .authorizationGrantType(AuthorizationGrantType.REFRESH_TOKEN)
            .redirectUri("http://127.0.0.1/callback").scopes(s -> s.addAll(Set.of("openid", "read", "write")))
            .clientSettings(ClientSettings.builder().requireProofKey(true).build())
            .tokenSettings(life(Duration.ofMinutes(5)).build())
            .build();
    }

    private static RegisteredClient web(String id, String address, Duration life) {
        return RegisteredClient.withId(id).clientId(id).clientSecret("{noop}" + id + "-secret")
            .clientAuthenticationMethod(ClientAuthenticationMethod.CLIENT_SECRET_BASIC)
            .authorizationGrantType(AuthorizationGrantType.AUTHORIZATION_CODE)
            .authorizationGrantType(AuthorizationGrantType.REFRESH_TOKEN)
            .redirectUri(address + "/callback").scopes(s -> s.addAll(Set.of("openid", "read", "write")))
            .tokenSettings(life(life).build())
            .build();
    }

    /** typ at+jwt, the API as aud, the client, which a subject that is a user does not show, and the login, for step-up. */
    @Bean
    OAuth2TokenCustomizer<JwtEncodingContext> accessTokens(@Value("${audience}") String audience) {
        return context -> {
            if (!OAuth2TokenType.ACCESS_TOKEN.equals(context.getTokenType())) {
                return;
            }
            context.getJwsHeader().type("at+jwt");
            context.getClaims().audience(List.of(audience));
            context.getClaims().claim("client_id", context.getRegisteredClient().getClientId());
            for (GrantedAuthority authority : context.<Authentication>getPrincipal().getAuthorities()) {
                if (authority instanceof FactorGrantedAuthority login && FactorGrantedAuthority.PASSWORD_AUTHORITY.equals(login.getAuthority())) {
                    context.getClaims().claim("auth_time", login.getIssuedAt().getEpochSecond());
                    context.getClaims().claim("acr", "urn:interop:gold");
                }
            }
        };
    }

    /** The same for opaque tokens, of which introspection tells it. */
    @Bean
    OAuth2TokenCustomizer<OAuth2TokenClaimsContext> opaqueTokens(@Value("${audience}") String audience) {
        return context -> context.getClaims().audience(List.of(audience));
    }

    /** Beside server.port, which asks for certificates, one in the clear, where clients without any find the server. */
    @Bean
    WebServerFactoryCustomizer<TomcatServletWebServerFactory> plain(@Value("${plain}") int port) {
        return factory -> {
            Connector connector = new Connector();
            connector.setPort(port);
            connector.setProperty("address", "127.0.0.1");
            factory.addAdditionalConnectors(connector);
        };
    }
}
