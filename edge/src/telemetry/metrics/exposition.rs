//! Prometheus' older text format, for who doesn't ask for OpenMetrics: made of it, so that there is one list of metrics.

use std::fmt::Write;

/// Rewrites OpenMetrics 1.0 as text format 0.0.4: no end mark, no units, no exemplars; a counter is called as its sample is.
#[must_use]
pub fn classic(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut help = None;
    for line in open_metrics.lines() {
        if let Some(about) = line.strip_prefix("# HELP ") {
            help = about.split_once(' ');
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|about| about.split_once(' ')) {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                kind => ("", kind),
            };
            // Writing into a String can't fail.
            if let Some((_, help)) = help.take().filter(|(of, _)| *of == name) {
                let _ = writeln!(text, "# HELP {name}{suffix} {help}");
            }
            let _ = writeln!(text, "# TYPE {name}{suffix} {kind}");
        } else if !line.starts_with('#') {
            text.push_str(without_exemplar(line));
            text.push('\n');
        }
    }
    text
}

/// A sample without what stands behind its value. A label's value may hold anything, so its end is looked for first.
fn without_exemplar(sample: &str) -> &str {
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, c) in sample.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            '#' if !is_quoted => return sample.get(..at).unwrap_or(sample).trim_end(),
            _ => {}
        }
    }
    sample
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openmetrics_becomes_the_older_format() {
        let open = "# HELP a_b Says a.\n# TYPE a_b counter\na_b_total{x=\"y # {\\\"\"} 7 # {trace_id=\"00\"} 1.0\n\
                    # HELP nebula_build What.\n# TYPE nebula_build info\nnebula_build_info{v=\"1\"} 1\n\
                    # HELP t_seconds T.\n# TYPE t_seconds histogram\n# UNIT t_seconds seconds\nt_seconds_bucket{le=\"1.0\"} 2 # {trace_id=\"ab\"} 0.5\n# EOF\n";
        assert_eq!(
            classic(open),
            "# HELP a_b_total Says a.\n# TYPE a_b_total counter\na_b_total{x=\"y # {\\\"\"} 7\n\
             # HELP nebula_build_info What.\n# TYPE nebula_build_info gauge\nnebula_build_info{v=\"1\"} 1\n\
             # HELP t_seconds T.\n# TYPE t_seconds histogram\nt_seconds_bucket{le=\"1.0\"} 2\n"
        );
    }
}
