//! Lists the files of `../web`, so that the relay carries its page.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// From where Cargo runs this program. Not an absolute path: checkouts that share a target directory
/// share this program too, and would get each other's page.
const WEB: &str = "../web";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed={WEB}");
    let mut files = Vec::new();
    collect(Path::new(WEB), &mut files)?;
    files.sort();

    let mut source = String::from("[\n");
    for file in files {
        let path = file.strip_prefix(WEB).map_err(io::Error::other)?;
        let path = path.to_string_lossy();
        source += &format!(
            "({path:?}, include_bytes!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/{WEB}/\", {path:?})).as_slice()),\n"
        );
    }
    source += "]\n";
    let out = env::var_os("OUT_DIR")
        .map(PathBuf::from)
        .unwrap_or_default();
    fs::write(out.join("web_files.rs"), source)
}

/// All files below `folder` but hidden ones and notes.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') || name.ends_with(".md") || name == "node_modules" {
            continue;
        }
        if path.is_dir() {
            println!("cargo::rerun-if-changed={}", path.display());
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
