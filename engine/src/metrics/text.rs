//! The Prometheus text exposition format, version 0.0.4.

use std::fmt::Write;

/// What a family's numbers mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, until a restart.
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric with all its labelled values.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// `weir_` first, the unit last, `_total` after it for counters.
    pub name: String,
    pub help: String,
    pub kind: Kind,
    pub samples: Vec<Sample>,
}

/// One value and the labels that tell it from its siblings.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Appended to the family's name; only histograms have one.
    pub suffix: &'static str,
    pub labels: Vec<(&'static str, String)>,
    pub value: f64,
}

impl Family {
    pub fn new(kind: Kind, name: &str, help: &str) -> Self {
        Self { name: name.to_owned(), help: help.to_owned(), kind, samples: Vec::new() }
    }

    /// The family with one more whole number.
    #[must_use]
    pub fn with(self, labels: &[(&'static str, &str)], count: u64) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "Prometheus keeps all values as f64")]
        let value = count as f64;
        self.with_value("", labels, value)
    }

    /// The family with one more number, under its name and `suffix`.
    #[must_use]
    pub fn with_value(
        mut self,
        suffix: &'static str,
        labels: &[(&'static str, &str)],
        value: f64,
    ) -> Self {
        let labels = labels.iter().map(|&(name, value)| (name, value.to_owned())).collect();
        self.samples.push(Sample { suffix, labels, value });
        self
    }

    /// Appends the family as text: HELP, TYPE, then a line for each sample.
    pub fn write(&self, out: &mut String) {
        out.push_str("# HELP ");
        out.push_str(&self.name);
        out.push(' ');
        escape(&self.help, false, out);
        let _ = writeln!(out, "\n# TYPE {} {}", self.name, self.kind.name());
        for sample in &self.samples {
            out.push_str(&self.name);
            sample.write(out);
        }
    }
}

impl Sample {
    fn write(&self, out: &mut String) {
        out.push_str(self.suffix);
        for (at, (name, value)) in self.labels.iter().enumerate() {
            let _ = write!(out, "{}{name}=\"", if at == 0 { '{' } else { ',' });
            escape(value, true, out);
            out.push('"');
        }
        if !self.labels.is_empty() {
            out.push('}');
        }
        let _ = writeln!(out, " {}", number(self.value));
    }
}

/// Go's notation of what has no digits; everything else as Rust writes it.
fn number(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    value.to_string()
}

/// Backslash and line feed are escaped everywhere, the quote in label values only.
fn escape(text: &str, quoted: bool, out: &mut String) {
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quoted => out.push_str("\\\""),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_written_so() {
        let family = Family::new(Kind::Gauge, "weir_x_seconds", "A \\ and \"b\"\nc.")
            .with(&[], 9_007_199_254_740_992)
            .with(&[("a", "q\"\\\n"), ("b", "é")], 0)
            .with_value("_sum", &[("c", "")], 0.000_016_384)
            .with_value("", &[], f64::INFINITY)
            .with_value("", &[], f64::NAN);
        let mut text = String::new();
        family.write(&mut text);
        let expected = concat!(
            "# HELP weir_x_seconds A \\\\ and \"b\"\\nc.\n",
            "# TYPE weir_x_seconds gauge\n",
            "weir_x_seconds 9007199254740992\n",
            "weir_x_seconds{a=\"q\\\"\\\\\\n\",b=\"é\"} 0\n",
            "weir_x_seconds_sum{c=\"\"} 0.000016384\n",
            "weir_x_seconds +Inf\n",
            "weir_x_seconds NaN\n",
        );
        assert_eq!(text, expected);
    }
}
