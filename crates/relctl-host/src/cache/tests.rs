use std::os::unix::fs::PermissionsExt as _;

use super::*;

const EMPTY: &str = "(component)";

fn component(cache: &Cache, engine: &Engine) {
    let wasm = wat::parse_str(EMPTY).unwrap();
    cache.component(engine, &Digest::of(&wasm), &wasm).unwrap();
}

fn kept(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn keeps_what_it_compiled_and_mends_what_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let private = folder.path().join("plugins");
    let engine = crate::engine::new().unwrap();
    let cache = Cache::new(private.clone(), &engine);
    component(&cache, &engine);
    let [path] = kept(&private).try_into().unwrap();
    let first = fs::metadata(&path).unwrap().ino();
    component(&cache, &engine);
    assert_eq!(fs::metadata(&path).unwrap().ino(), first, "it was compiled twice");

    fs::write(&path, "damaged").unwrap();
    component(&cache, &engine);
    assert!(fs::metadata(&path).unwrap().len() > 100);
}

#[test]
fn does_not_use_a_folder_that_others_can_write_to() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o770)).unwrap();
    let engine = crate::engine::new().unwrap();
    let cache = Cache::new(folder.path().to_owned(), &engine);
    component(&cache, &engine);
    assert!(kept(folder.path()).is_empty());
}
