//! Floating-point numbers in JSON that read back to the same bits.
//!
//! JSON has no infinities and no NaN, and readers need not round decimals to the nearest number. Here numbers are
//! strings with as many digits as it takes, which Rust reads back exactly. For use as `#[serde(with = "exact")]`.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

/// Something made of floating-point numbers.
pub(crate) trait Exact: Sized {
    /// The same with each number as text.
    type Text: Serialize + for<'de> Deserialize<'de>;

    fn to_text(&self) -> Self::Text;

    /// `None` where a text is not a number.
    fn from_text(text: Self::Text) -> Option<Self>;
}

impl Exact for f64 {
    type Text = String;

    fn to_text(&self) -> String {
        format!("{self:?}")
    }

    fn from_text(text: String) -> Option<f64> {
        text.parse().ok()
    }
}

impl<T: Exact> Exact for Option<T> {
    type Text = Option<T::Text>;

    fn to_text(&self) -> Self::Text {
        self.as_ref().map(T::to_text)
    }

    fn from_text(text: Self::Text) -> Option<Self> {
        text.map(T::from_text).map_or(Some(None), |value| value.map(Some))
    }
}

impl<T: Exact> Exact for Vec<T> {
    type Text = Vec<T::Text>;

    fn to_text(&self) -> Self::Text {
        self.iter().map(T::to_text).collect()
    }

    fn from_text(text: Self::Text) -> Option<Self> {
        text.into_iter().map(T::from_text).collect()
    }
}

impl<T: Exact> Exact for BTreeMap<String, T> {
    type Text = BTreeMap<String, T::Text>;

    fn to_text(&self) -> Self::Text {
        self.iter().map(|(key, value)| (key.clone(), value.to_text())).collect()
    }

    fn from_text(text: Self::Text) -> Option<Self> {
        text.into_iter().map(|(key, value)| Some((key, T::from_text(value)?))).collect()
    }
}

pub(crate) fn serialize<T: Exact, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    value.to_text().serialize(serializer)
}

pub(crate) fn deserialize<'de, T: Exact, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    let text = T::Text::deserialize(deserializer)?;
    T::from_text(text).ok_or_else(|| D::Error::custom("a text that is not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_number_keeps_its_bits(bits: u64) {
            let value = f64::from_bits(bits);
            let back = f64::from_text(value.to_text()).unwrap();
            prop_assert!(back.to_bits() == bits || value.is_nan() && back.is_nan());
        }
    }

    #[test]
    fn what_is_not_a_number_is_refused() {
        assert_eq!(f64::from_text("one".to_owned()), None);
        assert_eq!(Vec::<f64>::from_text(vec!["1".to_owned(), String::new()]), None);
        assert_eq!(Option::<f64>::from_text(None), Some(None));
        assert_eq!(Option::<f64>::from_text(Some("x".to_owned())), None);
    }
}
