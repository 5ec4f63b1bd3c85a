//! Which function an HTTP request belongs to: templates and methods enter, a function's index leaves.
//!
//! The order of the routes is that of the WebJobs route builder, which knows less than ASP.NET's endpoint routing: it
//! prefers fixed text to parameters and longer templates to shorter ones, and does not tell `{id}` from `{*rest}`.

use std::cmp::Ordering;

use anyhow::{Result, bail};
use percent_encoding::percent_decode_str;

/// One mapped route.
#[derive(Clone, Debug)]
pub struct Route {
    template: String,
    segments: Vec<Segment>,
    /// None: every method.
    methods: Option<Vec<String>>,
    function: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Text(String),
    Parameter { optional: bool },
    CatchAll,
}

/// All routes, most specific first.
#[derive(Debug, Default)]
pub struct RouteTable {
    routes: Vec<Route>,
}

impl Route {
    /// `template` is the function's own route; the prefix of host.json is put before it.
    pub fn new(prefix: &str, template: &str, methods: Option<Vec<String>>, function: usize) -> Result<Self> {
        let template = if prefix.is_empty() { template.to_string() } else { format!("{prefix}/{template}") };
        if template.starts_with('/') {
            bail!("route `{template}` must not start with a slash");
        }
        let mut segments = Vec::new();
        for part in template.split('/') {
            if matches!(segments.last(), Some(Segment::CatchAll | Segment::Parameter { optional: true })) {
                bail!("route `{template}` goes on after a part that must be the last");
            }
            segments.push(parse_segment(part, &template)?);
        }
        if let Some(Segment::Text(root)) = segments.first()
            && (root.eq_ignore_ascii_case("admin") || root.eq_ignore_ascii_case("runtime"))
        {
            bail!("route `{template}`: /admin and /runtime belong to the host");
        }
        Ok(Self { template, segments, methods, function })
    }

    fn matches_path(&self, parts: &[String]) -> bool {
        for (position, segment) in self.segments.iter().enumerate() {
            match (segment, parts.get(position)) {
                (Segment::CatchAll, _) => return true,
                (Segment::Text(text), Some(part)) if part.eq_ignore_ascii_case(text) => {}
                (Segment::Parameter { .. }, Some(part)) if !part.is_empty() => {}
                (Segment::Parameter { optional: true }, None) => {}
                _ => return false,
            }
        }
        parts.len() <= self.segments.len()
    }

    fn accepts(&self, method: &str) -> bool {
        // HEAD is matched like any other method: only where it is listed.
        self.methods.as_ref().is_none_or(|methods| methods.iter().any(|one| one.eq_ignore_ascii_case(method)))
    }
}

impl RouteTable {
    pub fn new(mut routes: Vec<Route>) -> Self {
        routes.sort_by(specificity);
        Self { routes }
    }

    /// The function for a request, by its raw path. None is a 404, for a wrong method too: the method is a constraint of
    /// the route, so such a request falls through to the next route, and past the last one there is nothing.
    pub fn find(&self, method: &str, raw_path: &str) -> Option<usize> {
        let trimmed = raw_path.trim_start_matches('/');
        let trimmed = trimmed.strip_suffix('/').unwrap_or(trimmed);
        let parts: Vec<String> = match trimmed {
            "" => Vec::new(),
            path => path.split('/').map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned()).collect(),
        };
        let found = self.routes.iter().find(|route| route.accepts(method) && route.matches_path(&parts))?;
        Some(found.function)
    }

    /// Pairs of templates that the host cannot put in an order; which of them answers is then an accident.
    pub fn ambiguities(&self) -> Vec<(&str, &str)> {
        let overlap = |a: &Route, b: &Route| match &a.methods {
            None => true,
            Some(methods) => methods.iter().any(|method| b.accepts(method)),
        };
        self.routes
            .windows(2)
            .filter(|pair| specificity(&pair[0], &pair[1]).is_eq() && overlap(&pair[0], &pair[1]))
            .map(|pair| (pair[0].template.as_str(), pair[1].template.as_str()))
            .collect()
    }
}

fn parse_segment(part: &str, template: &str) -> Result<Segment> {
    let Some(inner) = part.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
        if part.is_empty() || part.contains(['{', '}']) {
            bail!("part `{part}` of route `{template}` is not understood by the stand-in");
        }
        return Ok(Segment::Text(part.to_string()));
    };
    if inner.starts_with('*') {
        return Ok(Segment::CatchAll);
    }
    let (name, optional) = inner.strip_suffix('?').map_or((inner, false), |name| (name, true));
    if name.is_empty() || name.contains([':', '=', '{', '}']) {
        bail!("constraints and defaults are not imitated: `{part}` in route `{template}`");
    }
    Ok(Segment::Parameter { optional })
}

fn specificity(a: &Route, b: &Route) -> Ordering {
    for (one, other) in a.segments.iter().zip(&b.segments) {
        let order = match (one, other) {
            (Segment::Text(one), Segment::Text(other)) => one.to_ascii_lowercase().cmp(&other.to_ascii_lowercase()),
            (Segment::Text(_), _) => Ordering::Less,
            (_, Segment::Text(_)) => Ordering::Greater,
            _ => Ordering::Equal,
        };
        if order.is_ne() {
            return order;
        }
    }
    b.segments.len().cmp(&a.segments.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(prefix: &str, routes: &[(&str, &[&str])]) -> RouteTable {
        let route = |(function, (template, methods)): (usize, &(&str, &[&str]))| {
            let methods = (!methods.is_empty()).then(|| methods.iter().map(ToString::to_string).collect());
            Route::new(prefix, template, methods, function).expect("the template is good")
        };
        RouteTable::new(routes.iter().enumerate().map(route).collect())
    }

    #[test]
    fn fixed_text_goes_before_parameters_and_long_before_short() {
        let table = table(
            "api",
            &[("{*rest}", &[]), ("documents/{id}", &[]), ("documents/stats", &[]), ("documents/{id}/text", &[])],
        );
        assert_eq!(table.find("GET", "/api/documents/stats"), Some(2));
        assert_eq!(table.find("GET", "/api/documents/7"), Some(1));
        assert_eq!(table.find("GET", "/api/documents/7/text"), Some(3));
        assert_eq!(table.find("GET", "/API/Documents/Stats/"), Some(2));
        assert_eq!(table.find("GET", "/api/else/where"), Some(0));
        assert_eq!(table.find("GET", "/api"), Some(0));
        assert_eq!(table.find("GET", "/else"), None);
    }

    #[test]
    fn a_wrong_method_falls_through_to_404() {
        let table = table("", &[("chat", &["POST"]), ("{*page}", &["get"])]);
        assert_eq!(table.find("POST", "/chat"), Some(0));
        assert_eq!(table.find("GET", "/chat"), Some(1));
        assert_eq!(table.find("PUT", "/chat"), None);
        assert_eq!(table.find("HEAD", "/chat"), None);
        assert_eq!(table.find("GET", "/"), Some(1));
    }

    #[test]
    fn a_parameter_and_a_catch_all_in_one_place_are_called_ambiguous() {
        let table = table("api", &[("documents/{id}", &["get"]), ("documents/{*rest}", &[])]);
        assert_eq!(table.ambiguities().len(), 1);
        let apart = super::tests::table("api", &[("documents/{id}", &["get"]), ("documents/{*rest}", &["post"])]);
        assert!(apart.ambiguities().is_empty());
    }

    #[test]
    fn bad_templates_are_refused() {
        for template in ["admin/x", "/x", "a//b", "{*rest}/x", "{id:int}", "a{id}b"] {
            assert!(Route::new("", template, None, 0).is_err(), "{template}");
        }
        assert_eq!(table("", &[("a/{id?}", &[])]).find("GET", "/a"), Some(0));
    }
}
