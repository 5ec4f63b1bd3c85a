//! From the names of roles that a token holds to what the caller may do.

use crate::document::Role;

/// What roles are called in tokens, and what somebody may do who has none of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleSettings {
    /// The name of each role, in the order of [`Role::ALL`].
    pub names: [String; 3],
    /// The role of people who have none; without it they are refused.
    pub of_others: Option<Role>,
}

impl Default for RoleSettings {
    fn default() -> Self {
        let names = ["KnowledgeWorker.Reader", "KnowledgeWorker.Contributor", "KnowledgeWorker.Operator"];
        Self { names: names.map(str::to_owned), of_others: Some(Role::Reader) }
    }
}

impl RoleSettings {
    /// The highest of the roles that are named. One for others goes to people alone: an application gets a token for any other of
    /// its tenant, so only a role that somebody gave it shows that it may come.
    pub fn role(&self, named: &[String], is_person: bool) -> Option<Role> {
        let held = Role::ALL.into_iter().zip(&self.names).filter(|(_, name)| named.contains(name));
        held.map(|(role, _)| role).max().or(self.of_others.filter(|_| is_person))
    }

    /// What a role is called in tokens.
    pub fn name(&self, role: Role) -> &str {
        let [reader, contributor, operator] = &self.names;
        match role {
            Role::Reader => reader,
            Role::Contributor => contributor,
            Role::Operator => operator,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_role_counts_and_the_one_for_others_is_for_people() {
        let settings = RoleSettings::default();
        let check = |named: &[&str], is_person: bool, expected: Option<Role>| {
            let named: Vec<String> = named.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(settings.role(&named, is_person), expected, "{named:?} {is_person}");
        };
        check(&[], true, Some(Role::Reader));
        check(&[], false, None);
        check(&["Other.Role"], false, None);
        check(&["KnowledgeWorker.Reader", "KnowledgeWorker.Operator"], false, Some(Role::Operator));
        check(&["KnowledgeWorker.Contributor"], true, Some(Role::Contributor));
        check(&["knowledgeworker.operator"], true, Some(Role::Reader));
        let strict = RoleSettings { of_others: None, ..settings.clone() };
        assert_eq!(strict.role(&[], true), None);
        for role in Role::ALL {
            assert_eq!(strict.role(&[settings.name(role).to_owned()], true), Some(role));
        }
    }
}
