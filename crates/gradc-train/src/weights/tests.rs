//! Tests of [`super`].

use super::*;
use ElementType::{F32, F64, I32};
use half::{bf16, f16};
use proptest::prelude::*;
use tempfile::tempdir;

fn sample() -> WeightFile {
    let arrays = [
        ("dense.0.b", Array::from_vec(vec![0.5_f32, -0.0, f32::MIN_POSITIVE])),
        ("dense.0.w", Array::new(vec![2, 3], vec![1.0_f32, 2.0, 3.0, 4.0, 5.0, f32::MAX]).unwrap()),
        ("scale", Array::new(vec![], vec![0.1_f64]).unwrap()),
        ("steps", Array::new(vec![1], vec![7_i64]).unwrap()),
        ("mask", Array::from_vec(vec![true, false, true])),
        ("none", Array::new(vec![0, 4], Vec::<i32>::new()).unwrap()),
    ];
    let metadata = [("z", "last"), ("a", "\"first\"\n"), ("format", "pt")];
    WeightFile {
        arrays: arrays.map(|(name, array)| (name.to_owned(), array)).into(),
        metadata: metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
    }
}

fn written(content: &WeightFile) -> Vec<u8> {
    let directory = tempdir().unwrap();
    let path = directory.path().join("w.safetensors");
    write(&path, content).unwrap();
    std::fs::read(path).unwrap()
}

fn parameter(name: &str, dtype: ElementType, shape: &[usize]) -> ParameterSpec {
    ParameterSpec { name: name.to_owned(), dtype, shape: shape.to_vec() }
}

#[test]
fn what_is_written_is_read_back() {
    assert_eq!(parse(&written(&sample())).unwrap(), sample());
    assert_eq!(parse(&written(&WeightFile::default())).unwrap(), WeightFile::default());
}

#[test]
fn the_same_content_gives_the_same_bytes_and_arrays_are_aligned() {
    let bytes = written(&sample());
    for _ in 0..8 {
        assert_eq!(written(&sample()), bytes);
    }
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    for (name, tensor) in tensors.iter() {
        let offset = tensor.data().as_ptr() as usize - bytes.as_ptr() as usize;
        assert_eq!(offset % (tensor.dtype().bitsize() / 8), 0, "{name}");
    }
}

#[test]
fn files_of_the_reference_implementation_are_read() {
    let halves = [0x3c00_u16, 0xc000].map(u16::to_le_bytes).concat();
    let brains = [0x3f80_u16].map(u16::to_le_bytes).concat();
    let views = [
        ("half", TensorView::new(Dtype::F16, vec![2], &halves).unwrap()),
        ("brain", TensorView::new(Dtype::BF16, vec![], &brains).unwrap()),
    ];
    let read = parse(&safetensors::serialize(views, None).unwrap()).unwrap();
    assert_eq!(
        read.arrays["half"],
        Array::from_vec(vec![1.0, -2.0].into_iter().map(f16::from_f32).collect::<Vec<_>>())
    );
    assert_eq!(read.arrays["brain"].elements(), &vec![bf16::ONE].into());
    let view = TensorView::new(Dtype::F8_E4M3, vec![1], &[0]).unwrap();
    let error = parse(&safetensors::serialize([("x", view)], None).unwrap()).unwrap_err();
    assert!(matches!(error, WeightsErrorKind::ElementType { name, .. } if name == "x"));
}

#[test]
fn parameters_are_selected_in_the_types_of_the_model() {
    let parameters = [parameter("w", F64, &[2]), parameter("b", F32, &[])];
    let arrays: BTreeMap<String, Array> = [
        ("w".to_owned(), Array::from_vec(vec![0.5_f32, 2.0])),
        ("b".to_owned(), Array::new(vec![], vec![0.1_f64]).unwrap()),
        ("optimizer/m/w".to_owned(), Array::from_vec(vec![0.0_f32, 0.0])),
    ]
    .into();
    let selected = select(arrays, &parameters).unwrap();
    assert_eq!(selected["w"].as_f64(), Some(&[0.5, 2.0][..]));
    assert_eq!(selected["b"].as_f32(), Some(&[0.1_f32][..]));
    assert_eq!(selected.len(), 2);
}

#[test]
fn everything_that_does_not_fit_is_said_at_once() {
    let parameters = [
        parameter("dense.0.w", F32, &[3, 2]),
        parameter("dense.0.bias", F32, &[3]),
        parameter("scale", I32, &[]),
        parameter("other", F32, &[1]),
    ];
    let mut content = sample();
    content.arrays.retain(|name, _| !matches!(name.as_str(), "steps" | "mask" | "none"));
    let bias = content.arrays.remove("dense.0.b").unwrap();
    content.arrays.insert("dense.0.bais".to_owned(), bias);
    let directory = tempdir().unwrap();
    let path = directory.path().join("w.safetensors");
    write(&path, &content).unwrap();
    let message = read_parameters(&path, &parameters).unwrap_err().to_string();
    assert_eq!(
        message.replace(&format!("{}/", directory.path().display()), ""),
        "w.safetensors does not fit the model: \
         the file has no `dense.0.bias` (did you mean the file's `dense.0.bais`?) and `other`; \
         the model has no `dense.0.bais`; \
         `dense.0.w` has the shape [3, 2] in the model and [2, 3] in the file; \
         `scale`: 0.1 (f64) is not a whole number, as i32 needs"
    );
}

#[test]
fn a_name_that_the_format_reserves_is_an_error() {
    let directory = tempdir().unwrap();
    let mut content = sample();
    content.arrays.insert(METADATA.to_owned(), Array::from_vec(vec![1.0_f32]));
    let error = write(&directory.path().join("w"), &content).unwrap_err();
    assert!(matches!(error.kind, WeightsErrorKind::ReservedName));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn a_truncated_file_is_an_error_wherever_it_ends() {
    let bytes = written(&sample());
    for length in 0..bytes.len() {
        assert!(matches!(parse(&bytes[..length]), Err(WeightsErrorKind::Format(_))), "{length} bytes");
    }
}

#[test]
fn a_hostile_header_is_an_error() {
    let file = |header: &str, data: usize| {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        bytes
    };
    let huge = u64::MAX;
    for header in [
        String::new(),
        "null".to_owned(),
        "[".repeat(100_000),
        format!(r#"{{"x":{{"dtype":"F32","shape":[{huge},{huge}],"data_offsets":[0,4]}}}}"#),
        format!(r#"{{"x":{{"dtype":"F32","shape":[1],"data_offsets":[{huge},4]}}}}"#),
        format!(r#"{{"x":{{"dtype":"F32","shape":[1],"data_offsets":[0,{huge}]}}}}"#),
        r#"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#.to_owned(),
        r#"{"x":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#.to_owned(),
        r#"{"__metadata__":{"a":1}}"#.to_owned(),
    ] {
        assert!(parse(&file(&header, 4)).is_err(), "{}", &header[..header.len().min(80)]);
    }
    assert!(parse(&u64::MAX.to_le_bytes()).is_err());
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn changed_bytes_never_panic(changes in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..6)) {
        let mut bytes = written(&sample());
        for (at, value) in changes {
            let at = usize::from(at) % bytes.len();
            bytes[at] = value;
        }
        let _ = parse(&bytes);
    }
}

#[test]
fn a_vocabulary_in_disorder_is_refused() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("w.safetensors");
    let mut file = WeightFile { metadata: crate::Vocabulary::of("abz").metadata(), ..WeightFile::default() };
    write(&path, &file).unwrap();
    assert_eq!(read(&path).unwrap().metadata, file.metadata);
    file.metadata.values_mut().for_each(|characters| *characters = "zzab".to_owned());
    write(&path, &file).unwrap();
    let error = read(&path).unwrap_err().to_string();
    assert!(error.ends_with("has a vocabulary whose characters are not in their order, each once"), "{error}");
}
