//! Scalar functions that are too long, or too rare, to be written out in a kernel.

/// `pow` of IEEE 754, to less than one unit in the last place.
pub extern "C" fn gradc_runtime_pow_f64(base: f64, exponent: f64) -> f64 {
    libm::pow(base, exponent)
}

/// The error function, to less than one unit in the last place.
pub extern "C" fn gradc_runtime_erf_f64(x: f64) -> f64 {
    libm::erf(x)
}

/// One less the error function, to less than one unit in the last place.
pub extern "C" fn gradc_runtime_erfc_f64(x: f64) -> f64 {
    libm::erfc(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_obey_ieee_754_at_the_edges() {
        let inf = f64::INFINITY;
        for (base, exponent, expected) in [
            (0.0, 0.0, 1.0),
            (f64::NAN, 0.0, 1.0),
            (1.0, f64::NAN, 1.0),
            (-2.0, 3.0, -8.0),
            (-2.0, -2.0, 0.25),
            (0.0, -1.0, inf),
            (-0.0, -1.0, -inf),
            (-0.0, 3.0, -0.0),
            (-1.0, inf, 1.0),
            (0.5, inf, 0.0),
            (0.5, -inf, inf),
            (-inf, 3.0, -inf),
            (-inf, -3.0, -0.0),
        ] {
            let actual = gradc_runtime_pow_f64(base, exponent);
            assert_eq!(actual.to_bits(), f64::to_bits(expected), "pow({base}, {exponent}) = {actual}");
        }
        assert!(gradc_runtime_pow_f64(-2.0, 0.5).is_nan());
        assert!(gradc_runtime_pow_f64(2.0, f64::NAN).is_nan());
    }

    #[test]
    fn erf_is_odd_and_saturates() {
        assert_eq!(gradc_runtime_erf_f64(0.0), 0.0);
        assert_eq!(gradc_runtime_erf_f64(-7.0), -1.0);
        assert!((gradc_runtime_erf_f64(1.0) - 0.842_700_792_949_714_9).abs() < 1e-15);
    }
}
