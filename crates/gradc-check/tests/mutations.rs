//! Derivative rules that are wrong on purpose, one at a time: the check must fail and name the operator and its place.

use gradc::Program;
use gradc::autodiff::Rules;
use gradc::ir::op::broadcast;
use gradc::ir::{Derivative, Graph, OpDef, ValueId, Vjp};
use gradc_check::{Finding, Options, Point, Report, Rule, check_by};

/// A wrong rule, and a program that uses it.
struct Mutant {
    what: &'static str,
    operator: &'static str,
    rule: Rule,
    derivative: fn(&'static OpDef) -> Derivative,
    /// The text of the program, in which `«` and `»` are around the place that is to be named.
    program: &'static str,
}

/// The operator's own derivative with another rule for cotangents.
fn reverse(def: &'static OpDef, vjp: fn(&mut Vjp<'_>)) -> Derivative {
    match def.derivative {
        Derivative::Rules { jvp, .. } => Derivative::Rules { vjp, jvp },
        Derivative::None(reason) => panic!("{} has no derivative: {reason}", def.name),
        Derivative::Body => panic!("{} has no rule of its own", def.name),
    }
}

fn sum_of_ties(graph: &mut Graph, x: ValueId, y: ValueId, g: ValueId, axes: &[usize]) -> ValueId {
    let shape = graph.shape(x).clone();
    let repeated = graph.broadcast_back(y, axes, &shape);
    let chosen = graph.eq(x, repeated);
    let share = graph.broadcast_back(g, axes, &shape);
    let zero = graph.full_like(x, 0.0);
    graph.select(chosen, share, zero)
}

const MUTANTS: &[Mutant] = &[
    Mutant {
        what: "drops the cotangent it is given",
        operator: "mul",
        rule: Rule::Reverse,
        derivative: |def| {
            reverse(def, |cx| {
                let (a, b) = (cx.operand(0), cx.operand(1));
                cx.contribute(0, |graph| graph.scale(b, 1.0));
                cx.contribute(1, |graph| graph.scale(a, 1.0));
            })
        },
        program: "input x: f32[3, 4]
                  param w: [3, 4] = he_normal
                  loss sum(exp(«x * w»))",
    },
    Mutant {
        what: "forgets a factor",
        operator: "sigmoid",
        rule: Rule::Reverse,
        derivative: |def| {
            reverse(def, |cx| {
                let (y, g) = (cx.result(), cx.cotangent());
                cx.contribute(0, |graph| graph.mul(g, y));
            })
        },
        program: "param w: [3, 4] = he_normal
                  loss sum(«sigmoid(w)»)",
    },
    Mutant {
        what: "repeats along the wrong axis",
        operator: "sum",
        rule: Rule::Reverse,
        derivative: |def| {
            reverse(def, |cx| {
                let (x, g, attrs) = (cx.operand(0), cx.cotangent(), cx.attrs());
                cx.contribute(0, |graph| {
                    let shape = graph.shape(x).clone();
                    let axes: Vec<usize> = match attrs.ints("axes") {
                        [axis] if shape.rank() == 2 => vec![1 - axis],
                        right => right.to_vec(),
                    };
                    graph.broadcast_back(g, &axes, &shape)
                });
            })
        },
        program: "param w: [4, 4] = he_normal
                  param v: [4] = ones
                  output y = exp(v * «sum(w, axis = 1)»)",
    },
    Mutant {
        what: "multiplies by a matrix that it should transpose",
        operator: "matmul",
        rule: Rule::Reverse,
        derivative: |def| {
            reverse(def, |cx| {
                let (a, b, g) = (cx.operand(0), cx.operand(1), cx.cotangent());
                cx.contribute(0, |graph| graph.matmul(g, b));
                cx.contribute(1, |graph| graph.matmul_with(a, true, g, false));
            })
        },
        program: "input x: f32[4, 4]
                  param w: [4, 4] = he_normal
                  let h = x + w
                  output y = «h @ w»",
    },
    Mutant {
        what: "gives each of several greatest elements all",
        operator: "amax",
        rule: Rule::Reverse,
        derivative: |def| {
            reverse(def, |cx| {
                let (x, y, g, attrs) = (cx.operand(0), cx.result(), cx.cotangent(), cx.attrs());
                cx.contribute(0, |graph| sum_of_ties(graph, x, y, g, attrs.ints("axes")));
            })
        },
        program: "param w: [3, 4] = he_normal
                  output y = «max(concat([w, w], axis = 1), axis = 1)»",
    },
    Mutant {
        what: "gives to both where two are equal",
        operator: "max",
        rule: Rule::Reverse,
        derivative: |def| {
            reverse(def, |cx| {
                let (a, b, g) = (cx.operand(0), cx.operand(1), cx.cotangent());
                for (i, x, y) in [(0, a, b), (1, b, a)] {
                    cx.contribute(i, |graph| {
                        let (chosen, zero) = (graph.ge(x, y), graph.full_like(g, 0.0));
                        graph.select(chosen, g, zero)
                    });
                }
            })
        },
        program: "param w: [5] = normal(0, 1)
                  let twice = w + w
                  output y = «max(2 * w, twice)»",
    },
    Mutant {
        what: "gives the lesser one something too",
        operator: "min",
        rule: Rule::Reverse,
        derivative: |def| {
            reverse(def, |cx| {
                let g = cx.cotangent();
                cx.contribute(0, |graph| graph.scale(g, 1.0));
                cx.contribute(1, |graph| graph.scale(g, 1.0));
            })
        },
        program: "param w: [5] = normal(0, 1)
                  param v: [5] = normal(0, 1)
                  output y = «min(w, v)»",
    },
    Mutant {
        what: "takes one of the copies instead of their sum",
        operator: "broadcast",
        rule: Rule::Reverse,
        derivative: |def| {
            reverse(def, |cx| {
                let (x, g, axes) = (cx.operand(0), cx.cotangent(), broadcast::new_axes(&cx.attrs()));
                cx.contribute(0, |graph| {
                    let shape = graph.shape(x).clone();
                    let first = axes.iter().fold(g, |g, &axis| graph.slice_axis(g, axis, 0, 1));
                    graph.reshape(first, &shape)
                });
            })
        },
        program: "input x: f32[3, 4]
                  param b: [4] = zeros
                  loss mean(square(«x + b»))",
    },
    Mutant {
        what: "has the wrong sign",
        operator: "sub",
        rule: Rule::Reverse,
        derivative: |def| {
            reverse(def, |cx| {
                let g = cx.cotangent();
                cx.contribute(0, |graph| graph.scale(g, 1.0));
                cx.contribute(1, |graph| graph.scale(g, 1.0));
            })
        },
        program: "input x: f32[3, 4]
                  param w: [3, 4] = he_normal
                  loss sum(exp(«x - w»))",
    },
    Mutant {
        what: "misses the chain through the second operand",
        operator: "div",
        rule: Rule::Reverse,
        derivative: |def| {
            reverse(def, |cx| {
                let (b, g) = (cx.operand(1), cx.cotangent());
                cx.contribute(0, |graph| graph.div(g, b));
            })
        },
        program: "param w: [3, 4] = normal(2, 0.1)
                  output y = «w / (1 + w)»",
    },
    Mutant {
        what: "swaps its operands",
        operator: "concat",
        rule: Rule::Reverse,
        derivative: |def| {
            reverse(def, |cx| {
                let (g, axis) = (cx.cotangent(), cx.attrs().int("axis"));
                let half = cx.shape(g)[axis] / 2;
                cx.contribute(0, |graph| graph.slice_axis(g, axis, half, 2 * half));
                cx.contribute(1, |graph| graph.slice_axis(g, axis, 0, half));
            })
        },
        program: "param w: [3] = he_normal
                  param v: [3] = he_normal
                  output y = «concat([w, v], axis = 0)»",
    },
    Mutant {
        what: "passes a derivative to the branch that is not taken",
        operator: "select",
        rule: Rule::Reverse,
        derivative: |def| {
            reverse(def, |cx| {
                let g = cx.cotangent();
                cx.contribute(1, |graph| graph.scale(g, 1.0));
                cx.contribute(2, |graph| graph.scale(g, 1.0));
            })
        },
        program: "param w: [3, 4] = he_normal
                  output y = «relu(w)»",
    },
    Mutant {
        what: "takes the derivative of a saturated branch for one",
        operator: "tanh",
        rule: Rule::Reverse,
        derivative: |def| {
            reverse(def, |cx| {
                let g = cx.cotangent();
                cx.contribute(0, |graph| graph.scale(g, 1.0));
            })
        },
        program: "param w: [3] = 30
                  output y = «tanh(w)»",
    },
    Mutant {
        what: "detaches the residual",
        operator: "add",
        rule: Rule::Reverse,
        derivative: |def| {
            reverse(def, |cx| {
                let g = cx.cotangent();
                cx.contribute(0, |graph| graph.scale(g, 1.0));
            })
        },
        program: "param w: [3] = he_normal
                  output y = «tanh(w) + w»",
    },
    Mutant {
        what: "has no derivative",
        operator: "erf",
        rule: Rule::Reverse,
        derivative: |_| Derivative::None("it was forgotten"),
        program: "param w: [3] = he_normal
                  output y = w * «erf(w)»",
    },
    Mutant {
        what: "permutes where it should permute back",
        operator: "transpose",
        rule: Rule::Reverse,
        derivative: |def| {
            reverse(def, |cx| {
                let (g, attrs) = (cx.cotangent(), cx.attrs());
                cx.contribute(0, |graph| graph.transpose(g, attrs.ints("permutation")));
            })
        },
        program: "param w: [3, 3, 3] = normal(0, 1)
                  output y = «transpose(w, [1, 2, 0])»",
    },
    Mutant {
        what: "puts a slice back one place too early",
        operator: "slice",
        rule: Rule::Reverse,
        derivative: |def| {
            reverse(def, |cx| {
                let (x, g) = (cx.operand(0), cx.cotangent());
                let (extent, kept) = (cx.shape(x)[0], cx.shape(g)[0]);
                cx.contribute(0, |graph| graph.pad(g, &[0], &[extent - kept], &[0], 0.0));
            })
        },
        program: "param w: [6] = normal(0, 1)
                  output y = «w[1:4]»",
    },
    Mutant {
        what: "gives all that was read to the first row",
        operator: "gather",
        rule: Rule::Reverse,
        derivative: |def| {
            reverse(def, |cx| {
                let (x, indices, g, axis) = (cx.operand(0), cx.operand(1), cx.cotangent(), cx.attrs().int("axis"));
                let extent = cx.shape(x)[axis];
                cx.contribute(0, |graph| {
                    let first = graph.full_like(indices, 0.0);
                    graph.scatter_add(first, g, axis, extent)
                });
            })
        },
        program: "input at: i32[4]
                  param table: [5, 3] = he_normal
                  output y = «gather(table, at)»",
    },
    Mutant {
        what: "is wrong in forward mode alone",
        operator: "exp",
        rule: Rule::Forward,
        derivative: |def| match def.derivative {
            Derivative::Rules { vjp, .. } => {
                Derivative::Rules { vjp, jvp: |cx| cx.contribute(0, |graph, t| graph.scale(t, 1.0)) }
            }
            none => none,
        },
        program: "param w: [3] = he_normal
                  output y = «exp(w)»",
    },
    Mutant {
        what: "cannot be differentiated again",
        operator: "tanh",
        rule: Rule::Second,
        derivative: |def| {
            reverse(def, |cx| {
                let (y, g) = (cx.result(), cx.cotangent());
                cx.contribute(0, |graph| {
                    let fixed = graph.stop_gradient(y);
                    let square = graph.mul(fixed, fixed);
                    let one = graph.full_like(square, 1.0);
                    let slope = graph.sub(one, square);
                    graph.mul(g, slope)
                });
            })
        },
        program: "param w: [3] = he_normal
                  output y = «tanh(w)»",
    },
    Mutant {
        what: "forgets a factor in the steps of a loop",
        operator: "sigmoid",
        rule: Rule::Reverse,
        derivative: |def| {
            reverse(def, |cx| {
                let (y, g) = (cx.result(), cx.cotangent());
                cx.contribute(0, |graph| graph.mul(g, y));
            })
        },
        program: "input x: f32[5, 3]
                  param w: [3] = he_normal
                  let h = tanh(w)
                  output y = scan x_t in x {
                      h = tanh(«sigmoid(h * x_t)» - w)
                      h * h
                  }",
    },
    Mutant {
        what: "is wrong in forward mode alone, in a loop within a loop",
        operator: "exp",
        rule: Rule::Forward,
        derivative: |def| match def.derivative {
            Derivative::Rules { vjp, .. } => {
                Derivative::Rules { vjp, jvp: |cx| cx.contribute(0, |graph, t| graph.scale(t, 1.0)) }
            }
            none => none,
        },
        program: "input x: f32[4, 3]
                  param w: [3] = he_normal
                  output y = scan x_t in x, reverse = true {
                      let s = w
                      scan n in iota(3) { s = s - «exp(-s * s)» * x_t * cast(n, f32) }
                      s
                  }",
    },
    Mutant {
        what: "is wrong by a hundredth of a percent, beside terms that cancel",
        operator: "tanh",
        rule: Rule::Reverse,
        derivative: |def| {
            reverse(def, |cx| {
                let (y, g) = (cx.result(), cx.cotangent());
                cx.contribute(0, |graph| {
                    let squared = graph.mul(y, y);
                    let received = graph.mul(g, squared);
                    let slope = graph.sub(g, received);
                    graph.scale(slope, 1.0001)
                });
            })
        },
        program: "input x: f32[1]
                  param w: [1] = he_normal
                  loss sum(«tanh(w)») + sum(x * w) / sum(w)",
    },
];

/// The report on a program whose marks have been taken out, with the place that they were around.
fn report(mutant: &Mutant, rules: &Rules<'_>) -> (Report, String, (usize, usize)) {
    let text = format!("model m {{\n{}\n}}\n", mutant.program);
    let start = text.find('«').expect("the place is marked");
    let end = text.find('»').expect("the place is marked") - '«'.len_utf8();
    let text = text.replace(['«', '»'], "");
    let model = Program::from_source("m.net", &text).and_then(|program| program.only_model());
    let model = model.unwrap_or_else(|error| panic!("{}: {error}", mutant.what));
    let options = Options { second_order: mutant.rule == Rule::Second, ..Options::default() };
    let report = check_by(rules, model.graph(), &Point::default(), &options);
    (report.unwrap_or_else(|error| panic!("{}: {error}", mutant.what)), text, (start, end))
}

#[test]
fn the_programs_pass_with_the_operators_own_rules() {
    for mutant in MUTANTS {
        let (report, ..) = report(mutant, &Rules::default());
        assert!(report.passed(), "{} of {}:\n{}", mutant.what, mutant.operator, report.table());
    }
}

#[test]
fn no_wrong_rule_survives_and_each_is_named_with_its_place() {
    for mutant in MUTANTS {
        let shown = format!("{} {}", mutant.operator, mutant.what);
        let rules = |def: &'static OpDef| match def.name == mutant.operator {
            true => (mutant.derivative)(def),
            false => def.derivative,
        };
        let (report, text, place) = report(mutant, &Rules::new(&rules));
        assert!(!report.passed(), "{shown}: it survives\n{}", report.table());
        let named = report.findings.iter().find_map(|finding| match finding {
            Finding::WrongRule { operator, span, rule, .. } => Some((*operator, *rule, span.expect("it has a place"))),
            _ => None,
        });
        let (operator, rule, span) = named.unwrap_or_else(|| panic!("{shown}: it is not named\n{}", report.table()));
        assert_eq!((operator, rule), (mutant.operator, mutant.rule), "{shown}");
        let found = &text[span.start as usize..span.end as usize];
        let expected = &text[place.0..place.1];
        assert_eq!(found, expected, "{shown}");
    }
}
