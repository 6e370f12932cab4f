//! What a browser sends: a form's fields, in order, a name perhaps several times.

/// The fields of a form or of a query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads `application/x-www-form-urlencoded`. Lines end with one character, however the browser
    /// sent them.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let pair = |(name, value): (std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)| {
            (name.into_owned(), value.replace("\r\n", "\n"))
        };
        Self(form_urlencoded::parse(bytes).map(pair).collect())
    }

    /// The first value of a field; empty where there is none.
    pub(super) fn one(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
    }

    /// The first value, trimmed; `None` where it is empty.
    pub(super) fn some(&self, name: &str) -> Option<&str> {
        Some(self.one(name).trim()).filter(|value| !value.is_empty())
    }

    /// Every value of a field.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }

    /// Every field, for a form that carries another one on.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Sets a field, for a form shown for the first time.
    pub(super) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.push((name.to_owned(), value.into()));
    }
}

/// A text as a part of an address.
pub(super) fn encode(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_may_stand_several_times_and_lines_end_alike() {
        let form = Form::parse("a=1&b=r%C3%A4ksm%C3%B6rg%C3%A5s+%3Cb%3E&a=2&c=x%0D%0Ay".as_bytes());
        assert_eq!(form.all("a"), ["1", "2"]);
        assert_eq!((form.one("b"), form.one("c")), ("räksmörgås <b>", "x\ny"));
        assert_eq!((form.one("d"), form.some("d")), ("", None));
    }
}
