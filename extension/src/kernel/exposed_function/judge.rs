//! Which functions may be called: not what runs with more rights than its caller, or can't be held to them.

use super::{
    facts::Facts,
    unfit::{Result, Unfit},
};
use crate::kernel::spi;

/// Refuses what may not be called.
pub fn judge(facts: &Facts, signature: &str) -> Result<()> {
    let refused = |message: &str| Unfit::new(format!("{signature} {message}"));
    if facts.prokind != "f" {
        let kind = match facts.prokind.as_str() {
            "a" => "is an aggregate",
            "w" => "is a window function",
            _ => "is a procedure",
        };
        return Err(refused(kind).hint("Only functions can be exposed: wrap it in one."));
    }
    if facts.is_of_system {
        return Err(refused("is in a schema of the system, of a session, or of Nebula"));
    }
    if facts.is_of_extension {
        return Err(
            refused("belongs to an extension, or its schema does").hint("Wrap it in a function of your own, in a schema of your own.")
        );
    }
    if !facts.is_trusted {
        return Err(refused(&format!("is written in {}, which row-level security and privileges don't bind", facts.language))
            .hint("Functions in sql, plpgsql and other trusted languages can be exposed."));
    }
    if facts.is_definer && facts.owner_name != facts.runner {
        return Err(refused(&format!("is security definer: it would run as {} and see other tenants' rows, whoever calls", facts.owner))
            .hint(format!("alter function {signature} security invoker;")));
    }
    let sets = |name: &str| facts.settings.iter().any(|setting| setting.to_ascii_lowercase().starts_with(&format!("{name}=")));
    if let Some(name) = ["role", "session_authorization", "row_security"].into_iter().find(|name| sets(name)) {
        return Err(refused(&format!("has a setting of {name}")).hint(format!("alter function {signature} reset {name};")));
    }
    if facts.is_runner_strong {
        return Err(Unfit::new(format!("the role {} has more rights than row-level security binds", facts.runner))
            .hint(format!("Take superuser, bypassrls and memberships in such roles from {}.", facts.runner)));
    }
    if let Some(schema) = &facts.closed_schema {
        return Err(Unfit::new(format!("{} may not look into the schema {schema}", facts.runner)).hint(format!(
            "grant usage on schema {} to {};",
            spi::quote_identifier(schema),
            facts.runner
        )));
    }
    Ok(())
}
