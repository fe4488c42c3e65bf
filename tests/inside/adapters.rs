//! An adapter that fails, or computes wrongly, does not stop what another can do; one that was asked for by name does, and says why.

use std::cell::RefCell;
use std::rc::Rc;

use openelm::gpu::Candidate;
use openelm::kernels::probe::{EXACT_HALVES, NATIVE_HALVES};
use openelm::{Error, GenerateOptions, Gpu, LoadOptions, Model, ModelFiles, Result, Tune};

/// Adapters with what became of each: a name and how it opens.
struct Machine {
    candidates: Vec<Candidate>,
    opened: Rc<RefCell<Vec<String>>>,
}

impl Machine {
    fn new() -> Self {
        Self {
            candidates: Vec::new(),
            opened: Rc::default(),
        }
    }

    fn with(mut self, name: &str, open: impl Fn() -> Result<Gpu> + 'static) -> Self {
        let (opened, own) = (Rc::clone(&self.opened), name.to_owned());
        self.candidates.push(Candidate::new(name.into(), move || {
            opened.borrow_mut().push(own.clone());
            open()
        }));
        self
    }

    fn load(&self) -> Result<Model> {
        let mut options = LoadOptions::default();
        options.tune = Tune::Off;
        let files = ModelFiles::open("demo").unwrap();
        files.load_on_first(&self.candidates, &options, |_| {})
    }

    fn opened(&self) -> Vec<String> {
        self.opened.borrow().clone()
    }
}

fn good() -> Result<Gpu> {
    Gpu::open(None)
}

fn no_device() -> Result<Gpu> {
    Err(Error::NoDevice {
        adapter: "Fast".into(),
        cause: "its compiler is missing".into(),
    })
}

/// As a driver that goes away at the first thing it is told.
fn lost() -> Result<Gpu> {
    let gpu = Gpu::open(None)?;
    gpu.device.destroy();
    Ok(gpu)
}

/// As a driver that unpacks numbers in its own way.
fn wrong() -> Result<Gpu> {
    let mut gpu = Gpu::open(None)?;
    gpu.stand_ins
        .push(("lib/weight_q8.wgsl", "lib/weight_q4.wgsl"));
    Ok(gpu)
}

fn greedy(model: &Model) -> Vec<u32> {
    let mut session = model.session().unwrap();
    let mut options = GenerateOptions::default();
    options.max_tokens = Some(4);
    let tokens = session.generate(&[1, 1946, 761, 261, 507], &options);
    tokens.unwrap().map(|token| token.unwrap().id).collect()
}

#[test]
fn an_adapter_that_fails_is_passed_over_with_a_line_that_says_so() {
    let expected = greedy(&Machine::new().with("Usual", good).load().unwrap());
    for (bad, word) in [
        (no_device as fn() -> Result<Gpu>, "its compiler is missing"),
        (lost, "lost"),
        (wrong, "computes wrongly"),
    ] {
        let machine = Machine::new()
            .with("Fast", bad)
            .with("Slow", good)
            .with("Never", good);
        let model = machine.load().unwrap();
        assert_eq!(machine.opened(), ["Fast", "Slow"]);
        let warning = model.warnings().first().unwrap();
        for word in ["`Fast`", "passed over for `Slow`", word] {
            assert!(warning.contains(word), "{warning}");
        }
        assert_eq!(greedy(&model), expected);
    }
    // Two in a row, each with its line.
    let machine = Machine::new()
        .with("Fast", no_device)
        .with("Other", wrong)
        .with("Slow", good);
    assert_eq!(machine.load().unwrap().warnings().len(), 2);
    // Nothing to say where nothing failed.
    let machine = Machine::new().with("Fast", good).with("Slow", good);
    assert!(machine.load().unwrap().warnings().is_empty());
    assert_eq!(machine.opened(), ["Fast"]);
}

/// One adapter is all there is where it was asked for by name.
#[test]
fn an_adapter_that_was_named_is_an_error_that_says_what_differs() {
    let error = Machine::new().with("Fast", wrong).load().map(drop);
    let text = error.unwrap_err().to_string();
    for word in ["computes wrongly", "product", " where ", " is right"] {
        assert!(text.contains(word), "{text}");
    }
    let error = Machine::new().with("Fast", no_device).load().map(drop);
    assert!(matches!(error, Err(Error::NoDevice { .. })));
    // Where none works it is the best one's fault that counts.
    let machine = Machine::new().with("Fast", no_device).with("Slow", lost);
    let error = machine.load().map(drop);
    assert!(matches!(error, Err(Error::NoDevice { .. })));
    assert_eq!(machine.opened().len(), 2);
    assert!(matches!(
        Machine::new().load().map(drop),
        Err(Error::NoAdapter { .. })
    ));
}

/// What another adapter would refuse as well is no reason to try it.
#[test]
fn a_mistake_of_the_caller_is_no_fault_of_an_adapter() {
    let machine = Machine::new().with("Fast", good).with("Slow", good);
    let mut options = LoadOptions::default();
    options.context_size = Some(1 << 20);
    let files = ModelFiles::open("demo").unwrap();
    let loaded = files.load_on_first(&machine.candidates, &options, |_| {});
    assert!(matches!(loaded.map(drop), Err(Error::ContextSize { .. })));
    assert_eq!(machine.opened(), ["Fast"]);
}

#[test]
fn an_untested_adapter_is_used_as_it_is() {
    let mut options = LoadOptions::default();
    options.tune = Tune::Off;
    options.skip_self_test = true;
    let candidates = [Candidate::new("Fast".into(), wrong)];
    let files = ModelFiles::open("demo").unwrap();
    let model = files.load_on_first(&candidates, &options, |_| {}).unwrap();
    assert!(model.warnings().is_empty());
}

/// The stand-in for unpacking f16, which takes the place of instructions that lose small numbers, loses none, whatever the adapter.
#[test]
fn small_numbers_survive_where_the_adapter_loses_them() {
    use openelm::gpu::Readback;
    use openelm::kernels::{FILES, probe};
    use wgpu::util::DeviceExt;

    let mut gpu = Gpu::open(None).unwrap();
    gpu.stand_ins.push((NATIVE_HALVES, EXACT_HALVES));
    let spec = probe::halves_spec(NATIVE_HALVES);
    let pipeline = &gpu.compile(FILES, &[spec]).unwrap()[0];
    let words: Vec<u32> = (0..=0xffff).collect();
    let shape = probe::Shape { count: 1 << 16 };
    let buffer = |bytes: &[u8], usage| {
        gpu.device
            .create_buffer_init(&wgpu::util::BufferInitDescriptor {
                label: None,
                contents: bytes,
                usage,
            })
    };
    let shape = buffer(bytemuck::bytes_of(&shape), wgpu::BufferUsages::UNIFORM);
    let words_buffer = buffer(bytemuck::cast_slice(&words), wgpu::BufferUsages::STORAGE);
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
    let values = gpu.buffer("values", 4 << 16, usage);
    let bindings = probe::HalvesBindings {
        shape: shape.as_entire_binding(),
        words: words_buffer.as_entire_binding(),
        values: values.as_entire_binding(),
    };
    let bind_group = pipeline.bind(&gpu, &bindings.into_list());
    let mut encoder = gpu.device.create_command_encoder(&Default::default());
    {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&pipeline.pipeline);
        pass.set_bind_group(0, &bind_group, &[]);
        pass.dispatch_workgroups(1 << 10, 1, 1);
    }
    let readback = Readback::new(&gpu, 4 << 16);
    readback.record(&mut encoder, &values, 4 << 16);
    let submission = gpu.queue.submit([encoder.finish()]);
    let found = readback.read(&gpu, submission, 1 << 16, <[f32]>::to_vec);
    for (bits, found) in words.iter().zip(found.unwrap()) {
        let expected = half::f16::from_bits(*bits as u16);
        if expected.is_finite() {
            assert_eq!(found.to_bits(), expected.to_f32().to_bits(), "{bits:#06x}");
        }
    }
}

/// Whatever lies where compiled kernels are kept, kernels compile and the device goes on.
#[test]
fn a_damaged_file_of_compiled_kernels_does_no_harm() {
    use openelm::kernels::{FILES, rms_norm};

    let folder = tempfile::tempdir().unwrap();
    let info = Gpu::open(None).unwrap().device.adapter_info();
    let Some(name) = wgpu::util::pipeline_cache_key(&info) else {
        eprintln!("no pipeline caches here: not checked");
        return;
    };
    let path = folder.path().join(format!("{name}.bin"));
    let compile = || {
        let mut gpu = Gpu::open(None).unwrap();
        gpu.open_pipeline_cache(folder.path(), 7);
        gpu.compile(FILES, &[rms_norm::spec()]).unwrap();
        gpu.check().unwrap();
        gpu.keep_pipeline_cache();
        std::fs::read(&path).ok()
    };
    let good = compile();
    // The same again is read and not written.
    assert_eq!(compile(), good);
    let mut spoiled = vec![Vec::new(), b"no cache".to_vec(), vec![0xff; 1 << 16]];
    if let Some(good) = &good {
        spoiled.push(good[..good.len() / 2].to_vec());
        let mut flipped = good.clone();
        flipped[good.len() / 2] ^= 1;
        spoiled.push(flipped);
    }
    for bytes in spoiled {
        std::fs::write(&path, &bytes).unwrap();
        let after = compile();
        if good.is_some() {
            // Replaced, and not by the same thing.
            assert!(after.is_some() && after != Some(bytes));
        }
    }
    // A place where nothing can be written.
    let mut gpu = Gpu::open(None).unwrap();
    gpu.open_pipeline_cache(std::path::Path::new("/proc/no"), 7);
    gpu.compile(FILES, &[rms_norm::spec()]).unwrap();
    gpu.keep_pipeline_cache();
    gpu.check().unwrap();
}

/// What the self-test takes, kernel by kernel: run with MESA_SHADER_CACHE_DISABLE=1 to see the first time with a driver.
#[test]
#[ignore = "prints times, for whoever changes the self-test"]
fn times_of_the_self_test() {
    use openelm::ComputePath;
    use openelm::kernels::FILES;
    use openelm::model::Known;

    let gpu = Gpu::open(None).unwrap();
    for path in ComputePath::ALL {
        for known in Known::all(&gpu, path) {
            let begin = std::time::Instant::now();
            let pipelines = gpu.compile(FILES, std::slice::from_ref(&known.spec));
            let mut encoder = gpu.device.create_command_encoder(&Default::default());
            known.record(&gpu, &pipelines.unwrap()[0], &mut encoder);
            let submission = gpu.queue.submit([encoder.finish()]);
            gpu.wait(Some(submission)).unwrap();
            eprintln!("{:?} {}: {:.1?}", path, known.name, begin.elapsed());
        }
    }
}

/// `--device cpu` is what PyTorch's users write.
#[test]
fn the_processor_is_asked_for_as_cpu() {
    let is_processor = |device_type: &str| device_type == "cpu";
    let all = openelm::gpu::adapters();
    match Gpu::open(Some("cpu")) {
        Ok(gpu) => assert!(is_processor(&gpu.adapter.device_type), "{:?}", gpu.adapter),
        Err(error) => assert!(
            !all.iter().any(|adapter| is_processor(&adapter.device_type)),
            "{error}"
        ),
    }
}
