//! dpop-verifier for the proof and jsonwebtoken for the token, behind tiny_http.

use std::collections::HashSet;
use std::env;

use dpop_verifier::{DpopError, DpopVerifier, ReplayContext, ReplayStore};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{decode, decode_header, Algorithm, DecodingKey, Validation};
use serde_json::Value;
use tiny_http::{Header, Request, Response, Server};

#[derive(Default)]
struct Seen(HashSet<[u8; 32]>);

#[async_trait::async_trait]
impl ReplayStore for Seen {
    async fn insert_once(&mut self, jti: [u8; 32], _: ReplayContext<'_>) -> Result<bool, DpopError> {
        Ok(self.0.insert(jti))
    }
}

struct Resource {
    origin: String,
    issuer: String,
    keys: JwkSet,
    seen: Seen,
    proofs: DpopVerifier,
}

impl Resource {
    /// The code of the refusal, or nothing.
    fn refusal(&mut self, request: &Request) -> Option<&'static str> {
        let field = |name: &str| -> Option<String> {
            let mut all = request.headers().iter().filter(|h| h.field.as_str().as_str().eq_ignore_ascii_case(name));
            let first = all.next()?.value.to_string();
            all.next().is_none().then_some(first)
        };
        let (Some(credentials), Some(proof)) = (field("Authorization"), field("DPoP")) else {
            return Some("invalid_request");
        };
        let Some((scheme, token)) = credentials.split_once(' ') else { return Some("invalid_request") };
        if !scheme.eq_ignore_ascii_case("dpop") {
            return Some("invalid_token");
        }
        let token = token.trim_matches(' ');
        let Some(jkt) = self.bound_to(token) else { return Some("invalid_token") };
        let htu = format!("{}{}", self.origin, request.url().split('?').next().unwrap_or(""));
        let method = request.method().to_string();
        match pollster::block_on(self.proofs.verify(&mut self.seen, &proof, &htu, &method, Some(token))) {
            Err(_) => Some("invalid_dpop_proof"),
            Ok(verified) if verified.jkt != jkt => Some("invalid_token"),
            Ok(_) => None,
        }
    }

    fn bound_to(&self, token: &str) -> Option<String> {
        let key = self.keys.find(&decode_header(token).ok()?.kid?)?;
        let mut wanted = Validation::new(Algorithm::ES256);
        wanted.set_audience(&[&self.origin]);
        wanted.set_issuer(&[&self.issuer]);
        wanted.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        wanted.validate_nbf = true;
        let token = decode::<Value>(token, &DecodingKey::from_jwk(key).ok()?, &wanted).ok()?;
        Some(token.claims["cnf"]["jkt"].as_str()?.to_string())
    }
}

fn main() {
    let said = |name: &str| env::var(name).expect(name);
    let issuer = said("ISSUER");
    let keys = ureq::get(&format!("{issuer}/jwks")).call().expect("keys").into_string().expect("keys");
    let mut resource = Resource {
        origin: said("ORIGIN"),
        keys: serde_json::from_str(&keys).expect("keys"),
        issuer,
        seen: Seen::default(),
        proofs: DpopVerifier::new().with_max_age_seconds(60).with_future_skew_seconds(10),
    };
    let server = Server::http(format!("127.0.0.1:{}", said("PORT"))).expect("listens");
    for request in server.incoming_requests() {
        let _ = match resource.refusal(&request) {
            None => request.respond(Response::from_string("ok\n")),
            Some(code) => {
                let challenge = format!("WWW-Authenticate: DPoP error=\"{code}\", algs=\"ES256 EdDSA\"");
                let header: Header = challenge.parse().expect("a field");
                let status = if code == "invalid_request" { 400 } else { 401 };
                request.respond(Response::empty(status).with_header(header))
            }
        };
    }
}
