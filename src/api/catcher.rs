//! What Rocket itself refuses, as a problem document.

use super::answer::Fail;
use rocket::http::Status;
use rocket::{Request, catch};
use std::collections::BTreeSet;

/// Every refusal that no route made.
#[catch(default)]
pub(super) fn problem(status: Status, request: &Request<'_>) -> Fail {
    // A guard that refused has said why.
    if let Some(fail) = request.local_cache(|| None::<Fail>) {
        return fail.clone();
    }
    let path = request.uri().path();
    match status.code {
        404 | 405 => {
            let methods = methods(request);
            if methods.is_empty() {
                let remedy = "see /docs for what there is";
                return Fail::new(404, "not-found", "Not found", format!("there is nothing at {path}"), remedy);
            }
            let methods = methods.into_iter().collect::<Vec<_>>().join(", ");
            let detail = format!("the methods here are {methods}");
            Fail::new(405, "method", "Wrong method", detail, "use one of them; see /docs for what they do")
        }
        400 => Fail::new(400, "bad-request", "Bad request", "the path is not one", "see /docs for what there is"),
        422 => Fail::new(422, "invalid", "Not understood", format!("{path} is not understood"), "see /docs"),
        code => {
            let detail = format!("{} {path}: {}", request.method(), status.reason_lossy());
            Fail::new(code, "refused", status.reason_lossy(), detail, "see /docs for what there is")
        }
    }
}

/// The methods that this path has.
fn methods(request: &Request<'_>) -> BTreeSet<&'static str> {
    let path = request.uri().path();
    let given: Vec<&str> = path.as_str().split('/').filter(|s| !s.is_empty()).collect();
    let routes = request.rocket().routes();
    routes.filter(|r| fits(r.uri.path(), &given)).map(|r| r.method.as_str()).collect()
}

fn fits(route: &str, given: &[&str]) -> bool {
    let segments: Vec<&str> = route.split('/').filter(|s| !s.is_empty()).collect();
    if segments.last().is_some_and(|last| last.ends_with("..>")) {
        return given.len() >= segments.len() - 1 && same(&segments[..segments.len() - 1], given);
    }
    segments.len() == given.len() && same(&segments, given)
}

fn same(segments: &[&str], given: &[&str]) -> bool {
    segments.iter().zip(given).all(|(segment, given)| segment.starts_with('<') || segment == given)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_fits_a_route_whatever_its_ids_are() {
        for (route, given, is) in [
            ("/api/v1/services/<id>", &["api", "v1", "services", "tcp-1"][..], true),
            ("/api/v1/services/<id>", &["api", "v1", "services"], false),
            ("/api/v1/services/<id>", &["api", "v1", "routes", "x"], false),
            ("/docs/<path..>", &["docs"], true),
            ("/docs/<path..>", &["docs", "a", "b"], true),
            ("/", &[], true),
        ] {
            assert_eq!(fits(route, given), is, "{route} {given:?}");
        }
    }
}
