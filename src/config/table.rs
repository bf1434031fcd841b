//! The grammar of the settings table.

/// Defines sections of settings. A section is a struct with a field per key. The macro derives everything else from the
/// row: the default value, reading the file and the variable `AUDITBOX_<SECTION>_<KEY>`, errors, and printing.
///
/// ```text
/// settings! {
///     /// What the section is about.
///     database: DatabaseConfig {
///         /// What the setting is, in which unit, and why it has this default and range.
///         pub readers: u32 = 4, in 1..=64;
///         /// A number that another key of the section bounds.
///         pub idle_seconds: u32 = 60, in 1..=3600, at_most total_seconds;
///         /// A setting that was renamed: a file or variable with the earlier name is read with a warning.
///         pub wal_bytes_max: u64 = 1 << 32, in 1 << 27..=1 << 40, formerly log_bytes_max;
///     }
/// }
/// ```
///
/// The type must be a [`Setting`](super::setting::Setting). `in` is the range of a number. Other rules are checked in
/// `Settings::into_config`.
macro_rules! settings {
    ($($(#[$about:meta])* $section:ident: $Section:ident { $(
        $(#[$reason:meta])* $visibility:vis $key:ident: $type:ty = $default:expr
        $(, in $range:expr)? $(, at_most $upper:ident)? $(, formerly $former:ident)?;
    )+ })+) => {
        $(
            $(#[$about])*
            #[derive(Debug, Clone, PartialEq, Eq)]
            pub struct $Section {
                $($(#[$reason])* $visibility $key: $type,)+
            }

            impl Default for $Section {
                fn default() -> Self {
                    Self { $($key: $default,)+ }
                }
            }
        )+

        /// Every section. Each number is within its range; nothing else is checked.
        #[derive(Debug, Default)]
        pub(super) struct Settings {
            $($section: $Section,)+
        }

        impl Settings {
            /// Every key, section by section.
            pub(super) const KEYS: &'static [SettingKey] = &[$($(SettingKey {
                section: stringify!($section),
                name: stringify!($key),
                formerly: [$(Some(stringify!($former)),)? None][0],
                from_variable: <$type as Setting>::FROM_VARIABLE,
            },)+)+];

            /// Reads every key; a key that is not set has its default.
            pub(super) fn read(source: &SettingSource) -> Result<Self, ConfigError> {
                let default = Self::default();
                Ok(Self { $($section: $Section { $($key: source.setting(
                    stringify!($section),
                    stringify!($key),
                    default.$section.$key,
                    &[$($range,)? ANY_NUMBER][0],
                )?,)+ },)+ })
            }

            /// Checks the numbers that another key bounds. The error names both keys, as only the operator knows which of
            /// them is the mistake.
            fn check_at_most(&self) -> Result<(), Problem> {
                $($($(
                    let (key, value, upper, maximum) =
                        (stringify!($key), self.$section.$key, stringify!($upper), self.$section.$upper);
                    if value > maximum {
                        let bound = format!("is {value}, but must be at most {upper}, which is {maximum}");
                        return Err(problem(stringify!($section), key, format!("{bound}: lower {key} or raise {upper}")));
                    }
                )?)+)+
                Ok(())
            }

            /// Every section with its keys and values, in the order of the table.
            pub(super) fn to_toml(&self) -> Vec<SectionValues> {
                vec![$((
                    stringify!($section),
                    vec![$((stringify!($key), self.$section.$key.to_toml()),)+],
                ),)+]
            }
        }
    };
}

pub(super) use settings;
