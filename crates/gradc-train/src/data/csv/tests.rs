//! Tests of [`super`]: which columns an input takes, and what is said where there are none.

use super::*;
use crate::array::ElementType::{F32, F64, I32};
use proptest::prelude::*;

fn pixels(elements: usize) -> InputSpec {
    InputSpec::new("pixels", F32, vec![elements])
}

fn label() -> InputSpec {
    InputSpec::new("label", I32, vec![])
}

/// The values of each input, one after the other, or the message; `mapping` as `label=target`.
fn bound(text: &str, inputs: &[InputSpec], mapping: &[(&str, &str)]) -> Result<Vec<Vec<f64>>, String> {
    let mapping = mapping.iter().map(|&(input, key)| (input.to_owned(), key.to_owned())).collect();
    let columns = Table::read(text.as_bytes(), b',')
        .map_err(|error| error.to_string())?
        .bind(inputs, &mapping)
        .map_err(|error| error.to_string())?;
    Ok(columns.into_iter().map(|column| column.array.convert(F64).unwrap().as_f64().unwrap().to_vec()).collect())
}

fn check(text: &str, inputs: &[InputSpec], mapping: &[(&str, &str)], expected: &[&[f64]]) {
    assert_eq!(bound(text, inputs, mapping).unwrap(), expected, "{text}");
}

fn check_error(text: &str, inputs: &[InputSpec], mapping: &[(&str, &str)], expected: &str) {
    assert_eq!(bound(text, inputs, mapping).unwrap_err(), expected, "{text}");
}

#[test]
fn columns_with_an_index_are_gathered_in_its_order() {
    let both = [pixels(3), label()];
    check("pixels.1,label,pixels.0,pixels.2\n1,7,0,2\n4,8,3,5", &both, &[], &[&[0., 1., 2., 3., 4., 5.], &[7., 8.]]);
    check("pixels[2],pixels[0],pixels[1],label\n2,0,1,7\n", &both, &[], &[&[0., 1., 2.], &[7.]]);
    check("p.0,p.1,p.2,y\n1,2,3,4", &both, &[("pixels", "p"), ("label", "y")], &[&[1., 2., 3.], &[4.]]);
}

#[test]
fn the_columns_of_no_other_input_go_to_the_one_that_is_left() {
    check("label,pixel0,pixel1\n3,0.5,1e-1", &[pixels(2), label()], &[], &[&[0.5, 0.1], &[3.]]);
    check("a,target,b\n0,1,2", &[pixels(2), label()], &[("label", "target")], &[&[0., 2.], &[1.]]);
}

#[test]
fn without_names_inputs_share_the_columns_in_order() {
    check("1,2,7\n3,4,8\n", &[pixels(2), label()], &[], &[&[1., 2., 3., 4.], &[7., 8.]]);
    check("7,1,2\n", &[label(), pixels(2)], &[], &[&[7.], &[1., 2.]]);
    check("7,1,2\n", &[pixels(2), label()], &[("label", "0")], &[&[1., 2.], &[7.]]);
}

#[test]
fn spaces_blank_lines_bom_quotes_and_crlf() {
    let text = "\u{feff}label ,\"a, b\"\r\n\r\n 1 ,\" 2 \"\r\n";
    check(text, &[pixels(1), label()], &[], &[&[2.], &[1.]]);
    check("label,x\nTrue,1\nfalse,2", &[pixels(1), label()], &[], &[&[1., 2.], &[1., 0.]]);
}

#[test]
fn a_flaw_in_a_column_that_nobody_takes_does_not_matter() {
    check("label,species,x.0\n1,setosa,2", &[InputSpec::new("x", F32, vec![1]), label()], &[], &[&[2.], &[1.]]);
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let both = [pixels(2), label()];
    check_error("", &both, &[], "has no row of values");
    check_error("label,a,b\n", &both, &[], "has no row of values");
    check_error("label,a,b\n1,2,3\n1,2\n", &both, &[], "line 3: 2 fields, but the first row has 3");
    check_error("label,a,b\n1,2,3\n\n1,,4\n", &both, &[], "line 4, column `a`: the value is missing");
    check_error("label,a,b\n1,2,3\n1,2,NaN\n", &both, &[], "line 3, column `b`: `NaN` is not a number");
    check_error("label,a,b\n1,2,setosa\n", &both, &[], "line 2, column `b`: `setosa` is not a number");
    check_error("1,nan,3\n", &both, &[], "line 1, column `1`: `nan` is not a number");
    check_error("1,,3\n", &both, &[], "line 1, column `1`: the value is missing");
    check_error("label,a,label\n1,2,3\n", &both, &[], "two columns are named `label`");
    check_error("label,a\n1,2\n", &both, &[], "`pixels` needs 2 columns; left for it: 1");
    check_error("1,2\n", &both, &[], "`pixels` and `label` need 3 columns; left for them: 2");
    check_error(
        "label,pixels.0,pixels.2\n1,2,3\n",
        &both,
        &[],
        "input needs 2 columns `pixels.0` to `pixels.1`, but `pixels.1` is not there",
    );
    check_error(
        "label,pixels.0,pixels.1,pixels.2\n1,2,3,4\n",
        &both,
        &[],
        "input needs 2 columns `pixels.0` to `pixels.1`, but there are 3",
    );
    check_error("label,pixels.0,pixels[0]\n1,2,3\n", &both, &[], "two columns are named `pixels[0]`");
}

#[test]
fn an_input_without_columns_is_named() {
    let both = [pixels(2), label()];
    check_error("a,b,c\n1,2,3\n", &both, &[], "input `pixels` has no data: there is `a`, `b` and `c`");
    check_error(
        "labels,b,c\n1,2,3\n",
        &both,
        &[("label", "lables")],
        "input `label` has no data: there is no `lables`, only `labels`, `b` and `c`; did you mean `labels`?",
    );
    check_error("label\n1\n", &both, &[], "input `pixels` has no data: there is `label`");
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), elements in 0_usize..5) {
        if let Ok(table) = Table::read(&bytes, b',') {
            let _ = table.bind(&[pixels(elements), label()], &BTreeMap::new());
        }
    }

    #[test]
    fn random_rows_never_panic(text in "[0-9a,.\"\n\\[\\]]{0,80}", elements in 0_usize..5) {
        if let Ok(table) = Table::read(text.as_bytes(), b',') {
            let _ = table.bind(&[InputSpec::new("a", F32, vec![elements]), label()], &BTreeMap::new());
        }
    }
}
