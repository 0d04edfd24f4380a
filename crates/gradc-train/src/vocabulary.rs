//! The characters of a text as class ids.

use crate::weights::WeightFile;
use std::collections::BTreeMap;

/// The key under which weight files and checkpoints hold the vocabulary: its characters one after the other.
const KEY: &str = "gradc.vocabulary";

/// The different characters of a text, in the order of their code points. The class id of a character is its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vocabulary {
    characters: Vec<char>,
}

impl Vocabulary {
    /// The characters that occur in a text.
    pub fn of(text: &str) -> Vocabulary {
        // One flag a code point: 1 MiB, whatever the text.
        let mut occurs = vec![false; char::MAX as usize + 1];
        text.chars().for_each(|character| occurs[character as usize] = true);
        let characters = ('\0'..=char::MAX).filter(|&character| occurs[character as usize]).collect();
        Vocabulary { characters }
    }

    /// The vocabulary that was stored with weights. `None` where the network was not trained on text.
    pub fn stored(file: &WeightFile) -> Option<Vocabulary> {
        Vocabulary::from_metadata(&file.metadata)
    }

    pub(crate) fn from_metadata(metadata: &BTreeMap<String, String>) -> Option<Vocabulary> {
        metadata.get(KEY).map(|characters| Vocabulary::of(characters))
    }

    /// Whether what is stored, if anything is, lists its characters in their order, each once: in any other, class ids would
    /// silently stand for other characters than in training.
    pub(crate) fn is_sound(metadata: &BTreeMap<String, String>) -> bool {
        metadata.get(KEY).is_none_or(|characters| characters.chars().is_sorted_by(|a, b| a < b))
    }

    /// What a weight file says besides the weights, for [`stored`](Vocabulary::stored) to find.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        BTreeMap::from([(KEY.to_owned(), self.characters.iter().collect())])
    }

    /// How many characters there are.
    pub fn len(&self) -> usize {
        self.characters.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.characters.is_empty()
    }

    /// The class id of a character.
    pub fn id(&self, character: char) -> Option<usize> {
        self.characters.binary_search(&character).ok()
    }

    /// The character of a class id.
    pub fn character(&self, id: usize) -> Option<char> {
        self.characters.get(id).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_numbered_in_the_order_of_their_code_points() {
        let vocabulary = Vocabulary::of("zażółć a\u{10FFFF}\n");
        let found: Vec<char> = (0..vocabulary.len()).filter_map(|id| vocabulary.character(id)).collect();
        assert_eq!(found, ['\n', ' ', 'a', 'z', 'ó', 'ć', 'ł', 'ż', '\u{10FFFF}']);
        assert_eq!((vocabulary.id('a'), vocabulary.id('b'), vocabulary.character(9)), (Some(2), None, None));
        assert!(Vocabulary::of("").is_empty());
    }

    #[test]
    fn characters_in_disorder_are_no_vocabulary() {
        let stored = |characters: &str| BTreeMap::from([(KEY.to_owned(), characters.to_owned())]);
        assert!(Vocabulary::is_sound(&BTreeMap::new()) && Vocabulary::is_sound(&stored("")));
        assert!(Vocabulary::is_sound(&Vocabulary::of("zoo").metadata()));
        assert!(!Vocabulary::is_sound(&stored("zzab")) && !Vocabulary::is_sound(&stored("aab")));
    }

    #[test]
    fn it_is_found_where_it_was_stored() {
        let vocabulary = Vocabulary::of("to be\nor not\0");
        let file = WeightFile { arrays: BTreeMap::new(), metadata: vocabulary.metadata() };
        assert_eq!(Vocabulary::stored(&file), Some(vocabulary));
        assert_eq!(Vocabulary::stored(&WeightFile::default()), None);
    }
}
