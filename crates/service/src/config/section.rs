//! Sections of configuration files.

/// Declares a section whose absent keys take the values of its `Default`, and whose unknown keys are errors:
/// `config_section! { /// What it is. Name { /// What it says. key: Type = default, } }`.
#[macro_export]
macro_rules! config_section {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty = $default:expr,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields, default, rename_all = "camelCase")]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }
    };
}
