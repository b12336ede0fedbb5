//! What each operator takes and gives, by the runtimes' own code.
//!
//! Left out are operators that work on texts, tables, variables, random numbers or other graphs, or
//! that recur: there a rule would have to know more than counts and types. A model that has one of
//! these is tried in a process of its own, and refused where that is not possible.

use super::builtin;

/// What an operator takes and gives.
pub struct Rule {
    /// In the format's list.
    pub code: i32,
    /// Kind of its options by the format's list; 0 for none.
    pub options: u8,
    /// Whether it cannot do without them.
    pub needs_options: bool,
    /// Fewest and most inputs.
    pub inputs: (usize, usize),
    /// Fewest and most outputs.
    pub outputs: (usize, usize),
    /// How their types go together.
    pub types: Types,
}

/// Which tensors of an operator have the same type.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Types {
    /// Whatever: the runtimes check or convert.
    Any,
    /// All inputs and outputs.
    All,
    /// The first input and all outputs; further inputs are sizes or indices.
    FirstAndSizes,
    /// All inputs.
    Inputs,
    /// Weights, which have rules of their own.
    Weights,
}

use Types::{All, Any, FirstAndSizes, Inputs, Weights};

const MANY: usize = 1024;

const fn rule(
    code: i32,
    (options, needs_options): (u8, bool),
    inputs: (usize, usize),
    outputs: (usize, usize),
    types: Types,
) -> Rule {
    Rule {
        code,
        options,
        needs_options,
        inputs,
        outputs,
        types,
    }
}

const NONE: (u8, bool) = (0, false);

#[rustfmt::skip]
const RULES: &[Rule] = &[
    rule(0, (11, true), (2, 2), (1, 1), All), // ADD
    rule(1, (5, true), (1, 1), (1, 1), All), // AVERAGE_POOL_2D
    rule(builtin::CONCATENATION, (10, true), (1, MANY), (1, 1), All),
    rule(builtin::CONV_2D, (1, true), (2, 3), (1, 1), Weights),
    rule(builtin::DEPTHWISE_CONV_2D, (2, true), (2, 3), (1, 1), Weights),
    rule(5, (94, true), (1, 1), (1, 1), All), // DEPTH_TO_SPACE
    rule(builtin::DEQUANTIZE, (38, false), (1, 1), (1, 1), Any),
    rule(8, NONE, (1, 1), (1, 1), All), // FLOOR
    rule(builtin::FULLY_CONNECTED, (8, true), (2, 3), (1, 1), Weights),
    rule(11, (12, true), (1, 1), (1, 1), All), // L2_NORMALIZATION
    rule(12, (5, true), (1, 1), (1, 1), All), // L2_POOL_2D
    rule(13, (13, true), (1, 1), (1, 1), All), // LOCAL_RESPONSE_NORMALIZATION
    rule(builtin::LOGISTIC, NONE, (1, 1), (1, 1), All),
    rule(17, (5, true), (1, 1), (1, 1), All), // MAX_POOL_2D
    rule(18, (21, true), (2, 2), (1, 1), All), // MUL
    rule(19, NONE, (1, 1), (1, 1), All), // RELU
    rule(20, NONE, (1, 1), (1, 1), All), // RELU_N1_TO_1
    rule(21, NONE, (1, 1), (1, 1), All), // RELU6
    rule(builtin::RESHAPE, (17, false), (1, 2), (1, 1), FirstAndSizes),
    rule(23, (15, true), (2, 2), (1, 1), FirstAndSizes), // RESIZE_BILINEAR
    rule(builtin::SOFTMAX, (9, true), (1, 1), (1, 1), All),
    rule(26, (19, true), (1, 1), (1, 1), All), // SPACE_TO_DEPTH
    rule(28, NONE, (1, 1), (1, 1), All), // TANH
    rule(34, (22, false), (2, 2), (1, 1), FirstAndSizes), // PAD
    rule(36, (23, true), (2, 2), (1, 1), FirstAndSizes), // GATHER
    rule(37, (24, false), (3, 3), (1, 1), FirstAndSizes), // BATCH_TO_SPACE_ND
    rule(38, (25, false), (3, 3), (1, 1), FirstAndSizes), // SPACE_TO_BATCH_ND
    rule(39, (26, false), (2, 2), (1, 1), FirstAndSizes), // TRANSPOSE
    rule(40, (27, true), (2, 2), (1, 1), FirstAndSizes), // MEAN
    rule(41, (28, true), (2, 2), (1, 1), All), // SUB
    rule(42, (29, true), (2, 2), (1, 1), All), // DIV
    rule(builtin::SQUEEZE, (30, true), (1, 1), (1, 1), All),
    rule(45, (32, true), (4, 4), (1, 1), FirstAndSizes), // STRIDED_SLICE
    rule(47, (33, false), (1, 1), (1, 1), All), // EXP
    rule(48, (34, false), (2, 2), (2, 2), Any), // TOPK_V2
    rule(49, (35, true), (2, 2), (1, MANY), Any), // SPLIT
    rule(50, (36, false), (1, 1), (1, 1), All), // LOG_SOFTMAX
    rule(53, (37, false), (1, 1), (1, 1), Any), // CAST
    rule(54, NONE, (2, 2), (1, 1), All), // PRELU
    rule(55, (39, false), (2, 2), (1, 1), All), // MAXIMUM
    rule(56, (40, true), (2, 2), (1, 1), Any), // ARG_MAX
    rule(57, (39, false), (2, 2), (1, 1), All), // MINIMUM
    rule(58, (41, false), (2, 2), (1, 1), Inputs), // LESS
    rule(59, (42, false), (1, 1), (1, 1), All), // NEG
    rule(60, (43, false), (3, 3), (1, 1), Any), // PADV2
    rule(61, (44, false), (2, 2), (1, 1), Inputs), // GREATER
    rule(62, (45, false), (2, 2), (1, 1), Inputs), // GREATER_EQUAL
    rule(63, (46, false), (2, 2), (1, 1), Inputs), // LESS_EQUAL
    rule(64, (47, false), (3, 3), (1, 1), Any), // SELECT
    rule(65, (48, false), (3, 3), (1, 1), FirstAndSizes), // SLICE
    rule(66, NONE, (1, 1), (1, 1), All), // SIN
    rule(builtin::TRANSPOSE_CONV, (49, true), (3, 4), (1, 1), Any),
    rule(69, (51, false), (2, 2), (1, 1), FirstAndSizes), // TILE
    rule(70, (52, false), (2, 2), (1, 1), FirstAndSizes), // EXPAND_DIMS
    rule(71, (53, false), (2, 2), (1, 1), Inputs), // EQUAL
    rule(72, (54, false), (2, 2), (1, 1), Inputs), // NOT_EQUAL
    rule(73, NONE, (1, 1), (1, 1), All), // LOG
    rule(74, (27, true), (2, 2), (1, 1), FirstAndSizes), // SUM
    rule(75, NONE, (1, 1), (1, 1), All), // SQRT
    rule(76, NONE, (1, 1), (1, 1), All), // RSQRT
    rule(77, (55, true), (1, 1), (1, 1), Any), // SHAPE
    rule(78, (56, false), (2, 2), (1, 1), All), // POW
    rule(79, (57, true), (2, 2), (1, 1), Any), // ARG_MIN
    rule(81, (27, true), (2, 2), (1, 1), FirstAndSizes), // REDUCE_PROD
    rule(82, (27, true), (2, 2), (1, 1), FirstAndSizes), // REDUCE_MAX
    rule(83, (59, true), (1, MANY), (1, 1), All), // PACK
    rule(84, (60, false), (2, 2), (1, 1), All), // LOGICAL_OR
    rule(86, (62, false), (2, 2), (1, 1), All), // LOGICAL_AND
    rule(87, (63, false), (1, 1), (1, 1), All), // LOGICAL_NOT
    rule(88, (64, true), (1, 1), (1, MANY), All), // UNPACK
    rule(89, (27, true), (2, 2), (1, 1), FirstAndSizes), // REDUCE_MIN
    rule(90, (65, false), (2, 2), (1, 1), All), // FLOOR_DIV
    rule(91, (27, true), (2, 2), (1, 1), FirstAndSizes), // REDUCE_ANY
    rule(92, (66, false), (1, 1), (1, 1), All), // SQUARE
    rule(93, (67, false), (1, 1), (1, 1), All), // ZEROS_LIKE
    rule(95, (72, false), (2, 2), (1, 1), All), // FLOOR_MOD
    rule(97, (74, true), (2, 2), (1, 1), FirstAndSizes), // RESIZE_NEAREST_NEIGHBOR
    rule(98, (75, true), (1, 1), (1, 1), All), // LEAKY_RELU
    rule(99, (76, false), (2, 2), (1, 1), All), // SQUARED_DIFFERENCE
    rule(100, (77, true), (2, 2), (1, 1), FirstAndSizes), // MIRROR_PAD
    rule(101, (78, false), (1, 1), (1, 1), All), // ABS
    rule(102, (79, true), (3, 3), (1, MANY), FirstAndSizes), // SPLIT_V
    rule(104, NONE, (1, 1), (1, 1), All), // CEIL
    rule(105, (81, false), (2, 2), (1, 1), FirstAndSizes), // REVERSE_V2
    rule(106, (82, false), (2, MANY), (1, 1), All), // ADD_N
    rule(108, (84, false), (1, 1), (1, 1), All), // COS
    rule(110, (86, false), (1, 1), (1, 1), Any), // RANK
    rule(111, NONE, (1, 1), (1, 1), All), // ELU
    rule(builtin::QUANTIZE, (89, false), (1, 1), (1, 1), Any),
    rule(116, NONE, (1, 1), (1, 1), All), // ROUND
    rule(117, (91, false), (1, 1), (1, 1), All), // HARD_SWISH
    rule(120, (95, false), (5, 5), (2, 2), Any), // NON_MAX_SUPPRESSION_V4
    rule(121, (96, false), (6, 6), (3, 3), Any), // NON_MAX_SUPPRESSION_V5
    rule(123, (98, false), (3, 3), (1, 1), Any), // SELECT_V2
    rule(126, (101, true), (2, 2), (1, 1), Any), // BATCH_MATMUL
    rule(130, (104, false), (2, 2), (1, 1), FirstAndSizes), // BROADCAST_TO
    rule(140, (27, true), (2, 2), (1, 1), FirstAndSizes), // REDUCE_ALL
    rule(145, NONE, (2, 2), (1, 1), All), // BROADCAST_ARGS
    rule(150, (116, true), (1, 1), (1, 1), All), // GELU
    rule(152, NONE, (1, 1), (1, 1), All), // RELU_0_TO_1
    rule(156, (122, false), (2, 2), (1, 1), All), // ATAN2
    rule(158, (123, false), (1, 1), (1, 1), All), // SIGN
];

/// The rule of an operator; `None` where there is none.
#[must_use]
pub fn find(code: i32) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.code == code)
}
