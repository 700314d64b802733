package provider;

import java.time.Duration;
import java.util.List;
import java.util.Set;

import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;
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
import org.springframework.security.oauth2.server.authorization.settings.TokenSettings;
import org.springframework.security.oauth2.server.authorization.token.JwtEncodingContext;
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
    RegisteredClientRepository clients(@Value("${web}") String web) {
        return new InMemoryRegisteredClientRepository(List.of(
            machine("machine", Duration.ofMinutes(5)),
            machine("expiring", Duration.ofSeconds(5)),
            app("app", Duration.ofMinutes(5)),
            app("short", Duration.ofSeconds(5)),
            RegisteredClient.withId("web").clientId("web").clientSecret("{noop}web-secret")
                .clientAuthenticationMethod(ClientAuthenticationMethod.CLIENT_SECRET_BASIC)
                .authorizationGrantType(AuthorizationGrantType.AUTHORIZATION_CODE)
                .authorizationGrantType(AuthorizationGrantType.REFRESH_TOKEN)
                .redirectUri(web + "/callback").scopes(s -> s.addAll(Set.of("openid", "read", "write")))
                .build()));
    }

    private static RegisteredClient machine(String id, Duration life) {
        return RegisteredClient.withId(id).clientId(id).clientSecret("{noop}" + id + "-secret")
            .clientAuthenticationMethod(ClientAuthenticationMethod.CLIENT_SECRET_BASIC)
            .authorizationGrantType(AuthorizationGrantType.CLIENT_CREDENTIALS)
            .scopes(s -> s.addAll(Set.of("read", "write")))
            .tokenSettings(TokenSettings.builder().accessTokenTimeToLive(life).build())
            .build();
    }

    private static RegisteredClient app(String id, Duration life) {
        return RegisteredClient.withId(id).clientId(id)
            .clientAuthenticationMethod(ClientAuthenticationMethod.NONE)
            .authorizationGrantType(AuthorizationGrantType.AUTHORIZATION_CODE)
            .authorizationGrantType(AuthorizationGrantType.REFRESH_TOKEN)
            .redirectUri("http://127.0.0.1/callback").scopes(s -> s.addAll(Set.of("openid", "read", "write")))
            .clientSettings(ClientSettings.builder().requireProofKey(true).build())
            .tokenSettings(TokenSettings.builder().accessTokenTimeToLive(life).build())
            .build();
    }

    /** typ at+jwt, the API as aud, and the client, which a subject that is a user does not show. */
    @Bean
    OAuth2TokenCustomizer<JwtEncodingContext> accessTokens(@Value("${audience}") String audience) {
        return context -> {
            if (OAuth2TokenType.ACCESS_TOKEN.equals(context.getTokenType())) {
                context.getJwsHeader().type("at+jwt");
                context.getClaims().audience(List.of(audience));
                context.getClaims().claim("client_id", context.getRegisteredClient().getClientId());
            }
        };
    }
}
