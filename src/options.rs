//! What option types share: one text form for flags and JSON, and one home for each default.

/// Gives a type with `FromStr` and `Display` its serde form (a string), so that JSON and flags read the same.
macro_rules! string_serde {
    ($($type:ty),+) => {$(
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}
pub(crate) use string_serde;

/// Gives an options struct, whose fields are flags, the defaults of these flags: each default has one home.
macro_rules! default_from_flags {
    ($($options:ident),+) => {$(
        impl Default for $options {
            /// The defaults of the flags.
            fn default() -> Self {
                #[derive(clap::Parser)]
                struct Flags {
                    #[command(flatten)]
                    options: $options,
                }
                <Flags as clap::Parser>::parse_from([""]).options
            }
        }
    )+};
}
pub(crate) use default_from_flags;

/// Reads a flag that is a share in [0, 1).
pub fn parse_share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..1.0).contains(&share) => Ok(share),
        _ => Err("allowed is a share from 0 up to, and not including, 1".to_string()),
    }
}
