//! Constants of the functions.
//!
//! The polynomials are minimax in relative error, fitted in 300-bit arithmetic by Lawson's iteration; each coefficient
//! is rounded to its type, lowest first, before the next ones are fitted.

/// What differs between `f32` and `f64`.
pub(super) struct Table {
    /// Bits of the mantissa that are stored.
    pub(super) mantissa_bits: u8,
    /// The exponent of 1, as stored.
    pub(super) exponent_bias: u16,
    /// The least number that is not subnormal.
    pub(super) least_normal: f64,
    /// A power of two that makes every subnormal number normal.
    pub(super) subnormal_scale: f64,
    /// Adding it rounds to a whole number: 1.5 · 2^mantissa_bits.
    pub(super) round_shift: f64,
    /// 2^mantissa_bits.
    pub(super) integer_value: f64,
    /// Its bits.
    pub(super) integer_bits: u64,
    /// The bits of 1.
    pub(super) one_bits: u64,
    /// The bits of √½.
    pub(super) sqrt_half_bits: u64,
    /// ln 2 to so many bits that its product with an exponent is exact.
    pub(super) ln2_high: f64,
    /// The rest of ln 2.
    pub(super) ln2_low: f64,
    /// Where eˣ is surely 0, and surely infinite.
    pub(super) exp_range: (f64, f64),
    /// Where eˣ − 1 is surely −1.
    pub(super) expm1_low: f64,
    /// Where tanh ½x is surely 1.
    pub(super) tanh_high: f64,
    /// (eʳ − 1 − r) / r² for |r| ≤ ½ ln 2.
    pub(super) expm1: &'static [f64],
    /// (2 artanh s / s − 2) / z, with z = s² up to (3 − 2√2)².
    pub(super) log: &'static [f64],
}

/// The constants of `f32`.
pub(super) static F32: Table = Table {
    mantissa_bits: 23,
    exponent_bias: 127,
    least_normal: f32::MIN_POSITIVE as f64,
    subnormal_scale: 16_777_216.0,
    round_shift: 12_582_912.0,
    integer_value: 8_388_608.0,
    integer_bits: 0x4b00_0000,
    one_bits: 0x3f80_0000,
    sqrt_half_bits: 0x3f35_04f3,
    ln2_high: 0.693_138_122_558_593_8,
    ln2_low: 9.058_000_614_459_16e-6,
    exp_range: (-105.0, 89.0),
    expm1_low: -20.0,
    tanh_high: 20.0,
    expm1: &[
        0.499_999_970_197_677_6,
        0.166_665_449_738_502_5,
        0.041_667_465_120_553_97,
        0.008_366_430_178_284_645,
        0.001_386_811_840_347_945_7,
    ],
    log: &[0.666_666_626_930_236_8, 0.400_009_691_715_240_5, 0.284_991_502_761_840_8, 0.242_692_023_515_701_3],
};

/// The constants of `f64`.
pub(super) static F64: Table = Table {
    mantissa_bits: 52,
    exponent_bias: 1023,
    least_normal: f64::MIN_POSITIVE,
    subnormal_scale: 18_014_398_509_481_984.0,
    round_shift: 6_755_399_441_055_744.0,
    integer_value: 4_503_599_627_370_496.0,
    integer_bits: 0x4330_0000_0000_0000,
    one_bits: 0x3ff0_0000_0000_0000,
    sqrt_half_bits: 0x3fe6_a09e_667f_3bcd,
    ln2_high: f64::from_bits(0x3fe6_2e42_fee0_0000),
    ln2_low: f64::from_bits(0x3dea_39ef_3579_3c76),
    exp_range: (-746.0, 710.0),
    expm1_low: -40.0,
    tanh_high: 44.0,
    expm1: &[
        0.5,
        0.16666666666666677,
        0.04166666666666667,
        0.008333333333321716,
        0.0013888888888900065,
        0.0001984126988566033,
        2.4801587268576317e-05,
        2.7557244751498157e-06,
        2.755733668069841e-07,
        2.5108848379649277e-08,
        2.0892170735132304e-09,
    ],
    log: &[
        0.666_666_666_666_673_7,
        0.399_999_999_993_929_1,
        0.285_714_287_476_884_1,
        0.222_221_979_857_391_9,
        0.181_835_969_672_651_48,
        0.153_131_645_510_275_2,
        0.148_052_977_114_847_94,
    ],
};

/// (erf x / x − 1) by powers of x², for |x| < [`ERF_SEAM`].
pub(super) const ERF_SMALL: &[f64] = &[
    0.128_379_151_225_090_03,
    -0.376_124_888_658_523_56,
    0.112_817_309_796_810_15,
    -0.026_762_966_066_598_892,
    0.004_987_352_062_016_725_5,
    -0.000_595_958_146_732_300_5,
];

/// Where the first formula gives way to the second.
pub(super) const ERF_SEAM: f64 = 0.927_734_375;

/// (−ln (1 − erf t) / t − 1) for t from the seam to [`ERF_SATURATES`].
pub(super) const ERF_LARGE: &[f64] = &[
    0.128_648_504_614_830_02,
    0.635_151_267_051_696_8,
    0.106_236_942_112_445_83,
    -0.023_762_101_307_511_33,
    0.003_642_467_781_901_359_6,
    -0.000_322_803_331_073_373_56,
    0.000_011_230_947_166_041_005,
];

/// From here on erf is 1 in `f32`.
pub(super) const ERF_SATURATES: f64 = 4.0;

/// `(1 + 2t) · exp(t²) · erfc(t)` by powers of `(t − 3) / (t + 3)`, for t up to [`ERFC_VANISHES`]. The form is that of Shepherd
/// and Laframboise, "Chebyshev approximation of (1 + 2x) exp(x²) erfc x in 0 ≤ x < ∞", 1981.
pub(super) const ERFC_SCALED: &[f64] = &[
    1.253_008_058_001_332_5,
    -0.135_621_144_828_063_12,
    -0.047_562_289_369_309_03,
    0.129_646_612_429_709_07,
    -0.119_272_474_268_208_17,
    0.068_293_367_433_226_21,
    -0.023_791_348_031_502_63,
    0.002_578_845_360_538_2,
    0.001_996_375_739_503_498,
    -0.000_795_749_233_396_886_2,
    -0.000_276_390_255_573_552,
];

/// From here on `1 − erf x` loses digits.
pub(super) const ERFC_SEAM: f64 = 0.5;

/// From here on erfc is 0 in `f32`.
pub(super) const ERFC_VANISHES: f64 = 10.2;
