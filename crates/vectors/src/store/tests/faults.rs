use super::*;
use crate::store::{StoreError, verify};
use std::cell::Cell;
use std::rc::Rc;

/// Lets every change of the disk fail in turn, as a full disk does: the state on the disk is that
/// before or that after, an error says before unless the change was being made public, and the
/// store can be written to again.
#[test]
fn wherever_the_disk_fails_the_store_is_whole() {
    for seed in 0..4 {
        let mut random = Random::new(1000 + seed);
        let folder = tempfile::tempdir().unwrap();
        let fuse = Rc::new(Cell::new(usize::MAX));
        let disk = Disk { unsynced: true, fuse: Some(Rc::clone(&fuse)) };
        let mut model = Model::default();
        let mut writer = Writer::create_on(disk.clone(), folder.path(), header(Stored::F32)).unwrap();
        let mut failures = 0;
        for _ in 0..40 {
            let operation = Operation::random(&mut random);
            let mut after = model.clone();
            after.apply(&operation);
            for steps in 0.. {
                fuse.set(steps);
                let outcome = operation.apply(&mut writer);
                let blown = fuse.get() == 0;
                fuse.set(usize::MAX);
                let now = Model::at(folder.path());
                match outcome {
                    Ok(()) => assert_eq!(now, after),
                    Err(StoreError::Reopen { .. }) => assert!(now == model || now == after),
                    Err(_) => {
                        failures += 1;
                        assert!(now == model || now == after);
                        assert!(now == model || matches!(operation.apply(&mut writer), Err(StoreError::Reopen { .. })));
                    }
                }
                assert!(verify(folder.path()).unwrap().damages.is_empty());
                if now == after && !blown {
                    break;
                }
                if random.below(2) == 0 || now == after {
                    drop(writer);
                    writer = Writer::open_on(disk.clone(), folder.path()).unwrap();
                }
                if now == after {
                    break;
                }
            }
            model = after;
            assert_eq!(Model::at(folder.path()), model);
            model.check(&Store::open(folder.path()).unwrap(), &mut random);
        }
        assert!(failures > 100, "{failures}");
        drop(writer);
        drop(Writer::open_on(fast(), folder.path()).unwrap());
        // Nothing is left lying about: what the manifest names, the manifest, and the lock.
        let files = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(files, verify(folder.path()).unwrap().files + 1);
    }
}

#[test]
fn a_failed_creation_leaves_no_store() {
    for steps in 0..5 {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk { unsynced: true, fuse: Some(Rc::new(Cell::new(steps))) };
        assert!(Writer::create_on(disk, folder.path(), header(Stored::F32)).is_err());
        match Store::open(folder.path()) {
            Ok(store) => assert!(store.is_empty() && steps == 4),
            Err(StoreError::NotAStore { .. }) => {
                drop(Writer::create_on(fast(), folder.path(), header(Stored::F32)).unwrap())
            }
            Err(error) => panic!("{error}"),
        }
    }
}
