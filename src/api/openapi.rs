//! The OpenAPI document, made from the very routes and types, and the page that shows it.

use super::answer::Fail;
use super::routes as ours;
use rocket::http::{ContentType, Status};
use rocket::response::Redirect;
use rocket::{get, routes};
use std::path::PathBuf;
use std::sync::Arc;
use utoipa::OpenApi;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Components, RefOr, SecurityRequirement};

#[derive(OpenApi)]
#[openapi(info(
    title = "gatun",
    version = "v1",
    description = "The control plane of gatun, a layer 4 load balancer. Over the Unix socket nobody needs a token.",
    license(name = "Apache-2.0", identifier = "Apache-2.0")
))]
struct Root;

/// The document.
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = Root::openapi();
    for part in ours::documents() {
        document.merge(part);
    }
    for (path, item) in &mut document.paths.paths {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
        for parameters in operations.into_iter().flatten().filter_map(|operation| operation.parameters.as_mut()) {
            parameters.iter_mut().for_each(|parameter| describe(path, parameter));
        }
    }
    // What the macro finds in a function's arguments comes in an order of its own, another one with every build.
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
        for parameters in operations.into_iter().flatten().filter_map(|operation| operation.parameters.as_mut()) {
            parameters.sort_by(|a, b| named(a).cmp(named(b)));
        }
    }
    let token = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    document.components.get_or_insert_with(Components::new).add_security_scheme("token", token);
    document.security = Some(vec![SecurityRequirement::new::<_, [&str; 0], &str>("token", [])]);
    document
}

/// What stands in a path: where, the parameter, what it is, and one that may be there.
const IN_PATHS: [(&str, &str, &str, &str); 8] = [
    ("/services/", "id", "protocol and address in one word", "tcp-198.18.1.100-80"),
    ("/reals/", "rid", "address and port in one word", "198.18.2.21-80"),
    ("/laddr-pools/", "name", "the name of the pool", "lan"),
    ("/routes/", "id", "the destinations in one word", "198.18.64.0-18"),
    ("/neighbors/", "address", "the address of the next hop", "198.18.2.21"),
    ("/ports/", "name", "the name of the port", "wan"),
    ("/lcores/", "id", "the EAL lcore", "1"),
    ("/generations/", "n", "the number of the generation", "1"),
];

fn describe(path: &str, parameter: &mut RefOr<Parameter>) {
    let RefOr::T(parameter) = parameter else { return };
    let known = IN_PATHS.iter().find(|(part, name, ..)| path.contains(part) && parameter.name == *name);
    if let (ParameterIn::Path, Some((_, _, description, example))) = (&parameter.parameter_in, known) {
        let builder = ParameterBuilder::from(parameter.clone()).description(Some(*description));
        *parameter = builder.example(Some((*example).into())).build();
    }
}

fn named(parameter: &RefOr<Parameter>) -> &str {
    match parameter {
        RefOr::T(parameter) => &parameter.name,
        RefOr::Ref(other) => &other.ref_location,
    }
}

pub(super) fn routes() -> Vec<rocket::Route> {
    routes![openapi, docs, page]
}

#[get("/openapi.json")]
fn openapi() -> Result<(ContentType, String), Fail> {
    let text = document().to_json().map_err(|e| Fail::bug(&e.to_string()))?;
    Ok((ContentType::JSON, text))
}

/// The links of the page are relative to its folder.
#[get("/docs", rank = 1)]
fn docs() -> Redirect {
    Redirect::to("/docs/index.html")
}

#[get("/docs/<path..>", rank = 2)]
fn page(path: PathBuf) -> Result<(Status, (ContentType, Vec<u8>)), Fail> {
    let name = path.to_str().unwrap_or_default();
    let config = Arc::new(utoipa_swagger_ui::Config::from("/openapi.json"));
    let file = utoipa_swagger_ui::serve(name, config).map_err(|e| Fail::bug(&e.to_string()))?;
    let file = file.ok_or_else(|| Fail::not_found("page", name))?;
    let kind = ContentType::parse_flexible(&file.content_type).unwrap_or(ContentType::Binary);
    Ok((Status::Ok, (kind, file.bytes.into_owned())))
}

#[cfg(test)]
mod tests {
    /// An API change is to be seen in review: after one, run this with `BLESS=1`.
    #[test]
    fn the_saved_document_is_that_of_the_routes() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
        let now = super::document().to_pretty_json().unwrap() + "\n";
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(path, &now).unwrap();
        }
        let saved = std::fs::read_to_string(path).unwrap();
        let line = saved.lines().zip(now.lines()).position(|(a, b)| a != b).map(|n| n + 1);
        assert!(saved == now, "docs/openapi.json differs, first in line {line:?}: run this test with BLESS=1");
    }

    #[test]
    fn whatever_stands_in_a_path_is_described() {
        for (path, item) in &super::document().paths.paths {
            for parameter in item.get.iter().flat_map(|get| get.parameters.iter().flatten()) {
                let super::RefOr::T(parameter) = parameter else { panic!("{path}: a reference") };
                assert!(parameter.description.is_some(), "{path}: {}", parameter.name);
            }
        }
    }

    #[test]
    fn every_route_is_in_the_document_and_nothing_else() {
        let document = serde_json::to_value(super::document()).unwrap();
        let mut described = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            described
                .extend(item.as_object().unwrap().keys().map(|method| format!("{} {path}", method.to_uppercase())));
        }
        let shown = |path: &str| path.replace('<', "{").replace('>', "}");
        let below = |base: &'static str, routes: Vec<rocket::Route>| {
            routes.into_iter().map(move |r| format!("{} {base}{}", r.method, shown(r.uri.path())))
        };
        let mut routed: Vec<_> = below(super::ours::BASE, super::ours::all()).collect();
        routed.extend(below("", super::ours::elsewhere()));
        described.sort();
        routed.sort();
        assert_eq!(described, routed);
    }
}
