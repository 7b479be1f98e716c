//! An emulated computer with AVX-512: Bochs boots Debian's kernel from a CD image, and the kernel
//! runs the tests as its init process. Their output goes over the serial port into a file.

use super::watch::{Excerpt, Request, Watch};
use crate::debian::{self, FOLDER};
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The packages to install, each with a file of it.
pub(super) const PROGRAMS: [(&str, &str); 5] = [
    ("bochs", "/usr/bin/bochs-bin"),
    ("bochs-term", "/usr/lib/x86_64-linux-gnu/bochs/plugins/libbx_term_gui.so"),
    ("bochsbios", "/usr/share/bochs/BIOS-bochs-latest"),
    ("vgabios", "/usr/share/vgabios/vgabios.bin"),
    ("genisoimage", "/usr/bin/genisoimage"),
];

/// The newest processor of Bochs 2.7 on which the kernel boots: AVX-512 F, BW, DQ, VL, VBMI and
/// VNNI.
pub(super) const PROCESSOR: &str = "corei7_icelake_u";

/// `clearcpuid` hides four features that Bochs 2.7 implements incompletely, each of which would
/// stop the kernel:
/// * `fsrm`: claimed without the fast strings that the kernel expects with it; its `memmove` then
///   never ends;
/// * `pku`: claimed, but missing in the saved state; the kernel then refuses AVX entirely;
/// * `xsaves`, `xsavec`: the compact form is claimed with the size of the standard one, with the
///   same effect.
///
/// The other options save time, or output on the slow serial port.
const KERNEL_LINE: &str = "console=ttyS0,115200 quiet loglevel=4 clearcpuid=fsrm,pku,xsaves,xsavec nokaslr mitigations=off \
                           tsc=reliable nosmp idle=halt lsm= audit=0 random.trust_cpu=on";

const BEGIN: &str = "=== the tests begin\n";
const END: &str = "=== the tests ended with ";

/// Parts of the image in addition to the tests.
pub(super) struct Parts {
    kernel: PathBuf,
    busybox: PathBuf,
    /// Both stages of the boot loader.
    loaders: [PathBuf; 2],
}

impl Parts {
    pub(super) fn obtain() -> Result<Self> {
        let folder = debian::unpack("system", |apt| {
            let kernel = apt.dependency("linux-image-cloud-amd64", "linux-image-")?;
            Ok([&kernel, "busybox-static", "isolinux", "syslinux-common"].map(str::to_owned).to_vec())
        })?;
        let kernels = std::fs::read_dir(folder.join("boot"))?.collect::<Result<Vec<_>, _>>()?;
        let kernel = kernels.iter().find(|entry| entry.file_name().to_string_lossy().starts_with("vmlinuz"));
        Ok(Self {
            kernel: kernel.with_context(|| format!("{}: no kernel; remove the folder", folder.display()))?.path(),
            busybox: folder.join("bin/busybox"),
            loaders: ["usr/lib/ISOLINUX/isolinux.bin", "usr/lib/syslinux/modules/bios/ldlinux.c32"]
                .map(|file| folder.join(file)),
        })
    }
}

/// Runs the tests, prints their output, and returns it.
pub(super) fn run(parts: &Parts, tests: &Path, request: &Request) -> Result<String> {
    let folder = PathBuf::from(FOLDER).join("avx512");
    std::fs::create_dir_all(&folder)?;
    let image = folder.join("image.iso");
    make_image(parts, tests, request, &folder.join("image"), &image)?;
    let log = folder.join("serial.txt");
    let machine = folder.join("machine.txt");
    let go = folder.join("debugger.txt");
    std::fs::write(&log, "")?;
    // Debian's Bochs has a built-in debugger, which waits for this command.
    std::fs::write(&go, "continue\n")?;
    std::fs::write(&machine, description(&image, &log, &folder.join("bochs.txt")))?;
    let screen = std::fs::File::create(folder.join("screen.txt"))?;
    let mut bochs = Command::new("bochs-bin");
    bochs.arg("-q").arg("-f").arg(&machine).arg("-rc").arg(&go).env("TERM", "vt100");
    bochs.stdin(Stdio::null()).stdout(screen.try_clone()?).stderr(screen);
    let child = bochs.spawn().with_context(|| format!("{bochs:?}"))?;
    let mut watch = Watch { log, shown: 0 };
    watch.until_it_ends(child, request.deadline, excerpt)?;
    let text = watch.text()?;
    let Some((output, code)) = text.split_once(BEGIN).and_then(|(_, tests)| tests.split_once(END)) else {
        bail!(
            "the computer stopped before the tests ended; its output is in {} and in bochs.txt next to it:\n{}",
            watch.log.display(),
            text.lines().rev().take(12).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n")
        );
    };
    let code = code.lines().next().unwrap_or_default();
    ensure!(code == "0", "the tests failed with exit code {code}; their output is in {}", watch.log.display());
    Ok(output.to_owned())
}

/// Returns the output of the tests in the output of the serial port.
fn excerpt(text: &str) -> Excerpt<'_> {
    let complete = text.contains("Kernel panic");
    let Some((_, tests)) = text.split_once(BEGIN) else {
        return Excerpt { text: "", complete };
    };
    match tests.find(END) {
        // The line of the exit code may be incomplete.
        Some(end) => Excerpt { text: &tests[..end], complete: complete || tests[end..].contains('\n') },
        None => {
            let last = tests.rfind('\n').map_or(0, |newline| newline + 1);
            let end = if tests[last..].starts_with('=') { last } else { tests.len() };
            Excerpt { text: &tests[..end], complete }
        }
    }
}

/// Returns the configuration of Bochs. `ips` is the number of instructions per emulated second: a
/// great number means few timer interrupts.
fn description(image: &Path, serial: &Path, log: &Path) -> String {
    format!(
        "config_interface: textconfig
display_library: term
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/vgabios/vgabios.bin
cpu: model={PROCESSOR}, count=1, ips=100000000, ignore_bad_msrs=1
memory: guest=512, host=512
ata0: enabled=1
ata0-master: type=cdrom, path={}, status=inserted
boot: cdrom
clock: sync=none
com1: enabled=1, mode=file, dev={}
speaker: enabled=0
sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
log: {}
panic: action=fatal
error: action=report
info: action=report
debug: action=ignore
",
        image.display(),
        serial.display(),
        log.display()
    )
}

/// Creates a CD image that boots the kernel with the tests as its only program.
fn make_image(parts: &Parts, tests: &Path, request: &Request, folder: &Path, image: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let copy = |from: &Path, to: &str| {
        std::fs::copy(from, folder.join(to)).with_context(|| format!("copying {}", from.display()))
    };
    copy(&parts.kernel, "kernel")?;
    for (loader, name) in parts.loaders.iter().zip(["isolinux.bin", "ldlinux.c32"]) {
        copy(loader, name)?;
    }
    let menu = format!("DEFAULT tests\nPROMPT 0\nLABEL tests\nKERNEL /kernel\nINITRD /initrd\nAPPEND {KERNEL_LINE}\n");
    std::fs::write(folder.join("isolinux.cfg"), menu)?;
    let read = |file: &Path| std::fs::read(file).with_context(|| file.display().to_string());
    let mut archive = Archive::default();
    for name in ["bin", "dev", "proc", "tmp"] {
        archive.add(name, 0o040_755, &[]);
    }
    archive.add("bin/busybox", 0o100_755, &read(&parts.busybox)?);
    archive.add("tests", 0o100_755, &read(tests)?);
    archive.add("init", 0o100_755, first_program(request).as_bytes());
    std::fs::write(folder.join("initrd"), archive.finish())?;
    let mut make = Command::new("genisoimage");
    make.args(["-quiet", "-b", "isolinux.bin", "-c", "boot.cat", "-no-emul-boot", "-boot-load-size", "4"]);
    crate::command::run(make.args(["-boot-info-table", "-o"]).arg(image).arg(folder))
}

/// Returns the init script, which passes the tests' environment variables.
fn first_program(request: &Request) -> String {
    let quoted = |word: &str| format!("'{}'", word.replace('\'', r"'\''"));
    let settings = std::env::vars().filter(|(name, _)| name.starts_with("PROPTEST_") || name == "MAANA_ISA");
    let settings: String = settings.map(|(name, value)| format!("export {name}={}\n", quoted(&value))).collect();
    let arguments = request.arguments().map(quoted).collect::<Vec<_>>().join(" ");
    format!(
        "#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs devices /dev
export TMPDIR=/tmp
{settings}echo '{}'
/tests {arguments} 2>&1
echo \"{END}$?\"
/bin/busybox poweroff -f
",
        BEGIN.trim_end()
    )
}

/// A `cpio` archive in the kernel's format `newc`.
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    files: u32,
}

impl Archive {
    fn add(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.files += 1;
        let size = u32::try_from(content.len()).expect("a file of less than 4 GB");
        let name_size = u32::try_from(name.len() + 1).expect("a short name");
        self.bytes.extend(b"070701");
        // Number, mode, owner, group, links, time, size, four device numbers, the name's size, no
        // checksum.
        for field in [self.files, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0] {
            self.bytes.extend(format!("{field:08x}").into_bytes());
        }
        self.bytes.extend(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        self.add("TRAILER!!!", 0, &[]);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archive_entries_are_aligned_to_four_bytes() {
        let mut archive = Archive::default();
        archive.add("init", 0o100_755, b"hello");
        let bytes = archive.finish();
        assert_eq!(&bytes[..14], b"07070100000001");
        assert_eq!(&bytes[110..115], b"init\0");
        assert_eq!(&bytes[116..124], b"hello\0\0\0");
        assert_eq!(&bytes[124 + 110..124 + 120], b"TRAILER!!!");
        assert_eq!(bytes.len() % 4, 0);
    }

    #[test]
    fn an_excerpt_contains_only_the_tests() {
        assert_eq!(excerpt("a kernel message\n").text, "");
        let running = format!("a kernel message\n{BEGIN}test one ... ");
        assert_eq!(excerpt(&running).text, "test one ... ");
        let ending = format!("{running}ok\n=== the te");
        assert_eq!(excerpt(&ending).text, "test one ... ok\n");
        let ended = format!("{running}ok\n{END}0\n");
        assert_eq!(excerpt(&ended).text, "test one ... ok\n");
        assert!(excerpt(&ended).complete && !excerpt(&running).complete);
        assert!(excerpt("Kernel panic - not syncing").complete);
    }
}
