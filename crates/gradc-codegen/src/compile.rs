//! Plans to machine code in memory.

use std::num::NonZeroUsize;

use cranelift_codegen::Context;
use cranelift_codegen::ir::{AbiParam, Signature};
use cranelift_frontend::FunctionBuilderContext;
use cranelift_jit::{ArenaMemoryProvider, JITBuilder, JITModule};
use cranelift_module::{FuncId, Linkage, Module, default_libcall_names};
use gradc_schedule::kernel::{BufferParam, Kernel, Piece, Stmt, verify};
use gradc_schedule::plan::Plan;

use crate::check;
use crate::code::Facts;
use crate::emit;
use crate::error::CodegenError;
use crate::imports::Import;
use crate::listing::{Listing, Section};
use crate::options::{Contraction, Options};
use crate::partition::Partition;
use crate::program::{Code, Program, Statistics};
use crate::target::Target;
use crate::wide::{self, Extension};

/// Of functions, in bytes.
const ALIGNMENT: u64 = 64;

/// Compiles a plan for this machine.
///
/// # Errors
/// [`CodegenError::Invalid`] where the plan is not well-formed, which is a bug of an earlier stage.
pub fn compile(plan: &Plan, options: &Options) -> Result<Program, CodegenError> {
    check::plan(plan)?;
    let target = Target::new(options)?;
    let facts = Facts {
        has_fma: target.has_fma,
        has_rounding: target.has_rounding,
        is_x86: target.is_x86,
        contract: options.contraction == Contraction::Fuse,
    };
    let partition = Partition::new(plan, options.threads.map_or(1, NonZeroUsize::get), options.sharing);
    let kernels = plan.all_kernels();
    let mut module = new_module(&target, partition.pieces())?;
    let mut compiler = Compiler {
        facts,
        wide: target.wide,
        options,
        frontend: FunctionBuilderContext::new(),
        context: module.make_context(),
        listing: Listing::default(),
        statistics: Statistics::default(),
    };
    let functions = kernels.iter().zip(partition.pieces()).enumerate();
    let functions = functions.map(|(number, (whole, ways))| compiler.ways(&mut module, number, whole, ways));
    let functions = functions.collect::<Result<Vec<_>, CodegenError>>()?;
    module.finalize_definitions().map_err(|error| CodegenError::Cranelift(error.to_string()))?;
    let code = Code::new(module, &functions);
    Ok(Program::new(plan, &partition, code, compiler.listing, compiler.statistics))
}

/// An empty module that knows the runtime.
fn new_module(target: &Target, pieces: &[Vec<Vec<Piece>>]) -> Result<JITModule, CodegenError> {
    let cranelift = |problem: String| CodegenError::Cranelift(problem);
    let mut builder = JITBuilder::with_isa(target.isa.clone(), default_libcall_names());
    // One reservation of address space: whatever refers to something else in it is near enough to reach it.
    let memory =
        ArenaMemoryProvider::new_with_size(code_bound(pieces)).map_err(|error| cranelift(error.to_string()))?;
    builder.memory_provider(Box::new(memory));
    for import in Import::ALL {
        builder.symbol(import.symbol(), import.address());
    }
    let mut module = JITModule::new(builder);
    for import in Import::ALL {
        let mut signature = Signature::new(target.isa.default_call_conv());
        let (parameters, result) = import.signature();
        signature.params.extend(parameters.iter().map(|&ty| AbiParam::new(ty)));
        signature.returns.push(AbiParam::new(result));
        let id = module
            .declare_function(import.symbol(), Linkage::Import, &signature)
            .map_err(|error| cranelift(error.to_string()))?;
        debug_assert_eq!(id.as_u32(), import.index(), "imports are declared first and in order");
    }
    Ok(module)
}

/// More address space than the code of these kernels can need; only what is used becomes memory.
fn code_bound(pieces: &[Vec<Vec<Piece>>]) -> usize {
    fn statements(body: &[Stmt]) -> usize {
        body.iter().map(|stmt| if let Stmt::Loop(inner) = stmt { 1 + statements(&inner.body) } else { 1 }).sum()
    }
    // A statement is at most a long function in sixteen copies; a kernel takes whole pages.
    let bound = |kernel: &Kernel| (64 << 10) + statements(&kernel.body) * (16 << 10);
    (1 << 20) + pieces.iter().flatten().flatten().map(|piece| bound(&piece.kernel)).sum::<usize>()
}

/// What is kept from kernel to kernel.
struct Compiler<'o> {
    facts: Facts,
    /// The wide vectors that kernels are made of where they can be.
    wide: Option<Extension>,
    options: &'o Options,
    frontend: FunctionBuilderContext,
    context: Context,
    listing: Listing,
    statistics: Statistics,
}

/// A function, and how many bytes into each of its buffers it begins.
pub(crate) type Placed<F> = (F, Vec<isize>);

impl Compiler<'_> {
    /// A function for each piece of a kernel, in each way to run it; pieces that do the same share one. Vectors are as wide as the
    /// whole kernel's would be, so that sums are of the same order.
    fn ways(
        &mut self,
        module: &mut JITModule,
        number: usize,
        whole: &Kernel,
        ways: &[Vec<Piece>],
    ) -> Result<Vec<Vec<Placed<FuncId>>>, CodegenError> {
        let extension = self.wide.filter(|&extension| wide::takes(whole, extension));
        let mut known: Vec<(&Kernel, FuncId)> = Vec::new();
        let mut placed = Vec::with_capacity(ways.len());
        for pieces in ways {
            let mut of_way = Vec::with_capacity(pieces.len());
            for Piece { kernel, offsets } in pieces {
                let bytes = |(&elements, param): (&i64, &BufferParam)| elements as isize * param.dtype.size() as isize;
                let offsets = offsets.iter().zip(&kernel.buffers).map(bytes).collect();
                let function = match known.iter().find(|(other, _)| *other == kernel) {
                    Some(&(_, function)) => function,
                    None => {
                        debug_assert_eq!(verify(kernel), Ok(()), "a piece of a kernel is one");
                        let function = self.kernel(module, number, kernel, extension)?;
                        known.push((kernel, function));
                        function
                    }
                };
                of_way.push((function, offsets));
            }
            placed.push(of_way);
        }
        Ok(placed)
    }

    fn kernel(
        &mut self,
        module: &mut JITModule,
        number: usize,
        kernel: &Kernel,
        extension: Option<Extension>,
    ) -> Result<FuncId, CodegenError> {
        let invalid =
            |error: cranelift_module::ModuleError| CodegenError::Cranelift(format!("{}: {error:?}", kernel.name));
        let signature = emit::signature(module.isa());
        let id = module.declare_anonymous_function(&signature).map_err(invalid)?;
        if let Some(extension) = extension {
            let bug = |problem: String| CodegenError::Wide(format!("{}: {problem}", kernel.name));
            let listings = self.options.listings;
            if let Some(code) = wide::compile(kernel, extension, self.facts.contract, listings.assembly).map_err(bug)? {
                module.define_function_bytes(id, ALIGNMENT, &code.bytes, &[]).map_err(invalid)?;
                self.statistics.functions += 1;
                self.statistics.wide += 1;
                self.statistics.bytes += code.bytes.len();
                self.listing.sections.push(Section {
                    name: format!("kernel {number}: {}", kernel.name),
                    before: listings.clif.then(|| "; of wide vectors, which Cranelift does not have".to_owned()),
                    after: None,
                    assembly: listings
                        .assembly
                        .then(|| code.listing.iter().map(|line| format!("  {line}\n")).collect()),
                });
                return Ok(id);
            }
        }
        let function = emit::kernel(kernel, id.as_u32(), module.isa(), self.facts, &mut self.frontend);
        let listings = self.options.listings;
        let before = listings.clif.then(|| function.display().to_string());
        self.context.func = function;
        self.context.set_disasm(listings.assembly);
        module.define_function(id, &mut self.context).map_err(invalid)?;
        let after = listings.clif.then(|| self.context.func.display().to_string());
        if let Some(compiled) = self.context.compiled_code() {
            self.statistics.bytes += compiled.code_buffer().len();
            let assembly = compiled.vcode.clone();
            self.listing.sections.push(Section {
                name: format!("kernel {number}: {}", kernel.name),
                before,
                after,
                assembly,
            });
        }
        self.statistics.functions += 1;
        module.clear_context(&mut self.context);
        Ok(id)
    }
}
