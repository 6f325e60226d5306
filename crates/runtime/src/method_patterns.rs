//! Descriptions of methods by which Mono's users choose some: `MONO_VERBOSE_METHOD` holds a list of them.

use crate::runtime;
use il::types::MethodId;

/// One description: `[[namespace.]class:]method[(parameters)]`, in which `*` alone stands for any class or any method.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Pattern {
    namespace: Option<String>,
    /// Any if `None`.
    class: Option<String>,
    /// Any if `None`.
    method: Option<String>,
    /// As in full names, without the parentheses; any if `None`.
    parameters: Option<String>,
}

/// A list of descriptions with semicolons between them.
#[derive(Clone, Default, Debug)]
pub struct MethodPatterns(Vec<Pattern>);

/// A name, or `None` for `*`.
fn name_of(text: &str) -> Option<String> {
    Some(text.trim().to_owned()).filter(|name| name != "*")
}

impl Pattern {
    fn parse(text: &str) -> Pattern {
        let (names, parameters) = match text.split_once('(') {
            Some((names, rest)) => (names, Some(rest.trim().trim_end_matches(')').to_owned())),
            None => (text, None),
        };
        let (class, method) = names.split_once(':').map_or((None, names), |(class, method)| (Some(class), method));
        let (namespace, class) = match class.map(|class| class.rsplit_once('.').ok_or(class)) {
            Some(Ok((namespace, class))) => (Some(namespace.trim().to_owned()), name_of(class)),
            Some(Err(class)) => (None, name_of(class)),
            None => (None, None),
        };
        Pattern { namespace, class, method: name_of(method), parameters }
    }

    fn fits(&self, namespace: &str, class: &str, method: &str, parameters: &str) -> bool {
        let fits = |wanted: &Option<String>, name: &str| wanted.as_ref().is_none_or(|wanted| wanted == name);
        // Mono does not look at the namespace if any class will do.
        let in_namespace = self.class.is_none() || fits(&self.namespace, namespace);
        in_namespace && fits(&self.class, class) && fits(&self.method, method) && fits(&self.parameters, parameters)
    }
}

impl MethodPatterns {
    /// Takes a list apart.
    pub fn parse(text: &str) -> MethodPatterns {
        MethodPatterns(text.split(';').filter(|part| !part.trim().is_empty()).map(Pattern::parse).collect())
    }

    /// Whether one of the descriptions fits a method.
    pub fn fit(&self, method: MethodId) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let types = &runtime().types;
        let (namespace, class) = types.simple_name(types.method(method).owner);
        let full_name = types.method_full_name(method);
        let parameters = full_name.rsplit_once(" (").map_or("", |(_, parameters)| parameters.trim_end_matches(')'));
        self.0.iter().any(|pattern| pattern.fits(namespace, class, types.method_name(method), parameters))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_choose_what_they_say() {
        let fits = |text: &str, namespace: &str, class: &str, parameters: &str| {
            MethodPatterns::parse(text).0.iter().any(|pattern| pattern.fits(namespace, class, "Method", parameters))
        };
        for text in ["*:Method", "Test:Method", "N.Test:Method", "Method", "*:*", "*:Method (int)", "X:Y;Test:Method(int)"] {
            assert!(fits(text, "N", "Test", "int"), "{text}");
        }
        for text in ["", ";", "*:Other", "Other:Method", "M.Test:Method", "*:Method()", "*:Method (int,int)"] {
            assert!(!fits(text, "N", "Test", "int"), "{text}");
        }
        assert!(fits("M.*:Method()", "N", "Test", ""));
    }
}
