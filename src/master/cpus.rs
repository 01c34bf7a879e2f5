//! Which lcores run, and on which CPUs: from `[lcores]` and the CPUs that there are.

use super::start::StartError;
use crate::config::{LCORE_MAX, Lcores, Workers};
use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;

/// An lcore and its CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The EAL lcore.
    pub lcore: u32,
    /// The CPU that it is bound to.
    pub cpu: u32,
}

/// All lcores of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// The master's.
    pub master: Place,
    /// The workers', in the order of the engine's lcore ids.
    pub workers: Vec<Place>,
}

impl Places {
    /// The master first.
    pub fn all(&self) -> impl Iterator<Item = &Place> {
        std::iter::once(&self.master).chain(&self.workers)
    }
}

/// The CPUs that this process may use: fewer than the machine has under taskset, in a cpuset or in a container.
pub fn allowed() -> Vec<u32> {
    let set = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
    (0..CpuSet::count()).filter(|&cpu| set.is_set(cpu).unwrap_or(false)).map(|cpu| cpu as u32).collect()
}

/// Places every lcore. `online` are the machine's CPUs as the kernel writes them (`0-3,8`), `allowed` those of this process.
pub fn place(lcores: &Lcores, online: &str, allowed: &[u32]) -> Result<Places, StartError> {
    let at = |lcore: u32| Place { lcore, cpu: lcores.cpu(lcore) };
    let master = at(lcores.master);
    let workers = match &lcores.workers {
        Workers::Auto => found(master, allowed)?,
        Workers::Lcores(workers) => workers.iter().map(|&lcore| at(lcore)).collect(),
    };
    let places = Places { master, workers };
    check(&places, online)?;
    Ok(places)
}

/// One worker on each allowed CPU but the master's. Lcore n runs on CPU n, where there is such an lcore and it is free.
fn found(master: Place, allowed: &[u32]) -> Result<Vec<Place>, StartError> {
    let cpus = || allowed.iter().copied().filter(|&cpu| cpu != master.cpu);
    let own = |cpu: u32| cpu <= LCORE_MAX && cpu != master.lcore;
    let mut others = (0..=LCORE_MAX).filter(|&lcore| lcore != master.lcore && !cpus().any(|cpu| cpu == lcore));
    let place = |cpu| Some(Place { lcore: if own(cpu) { cpu } else { others.next()? }, cpu });
    let workers: Vec<Place> = cpus().map_while(place).collect();
    if workers.is_empty() {
        return Err(StartError::NoWorker { cpu: master.cpu });
    }
    Ok(workers)
}

/// The EAL would answer with a page of its usage.
fn check(places: &Places, online: &str) -> Result<(), StartError> {
    let ranges: Vec<(u32, u32)> = online
        .split(',')
        .filter_map(|r| {
            let (first, last) = r.split_once('-').unwrap_or((r, r));
            Some((first.parse().ok()?, last.parse().ok()?))
        })
        .collect();
    let missing = places.all().find(|p| !ranges.iter().any(|(first, last)| (*first..=*last).contains(&p.cpu)));
    match missing {
        Some(&Place { lcore, cpu }) if !ranges.is_empty() => {
            Err(StartError::NoCpu { lcore, cpu, online: online.to_owned() })
        }
        // A machine that does not say is left to the EAL.
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn lcores(workers: Option<&[u32]>, master: u32, cpus: &[(u32, u32)]) -> Lcores {
        let workers = workers.map_or(Workers::Auto, |w| Workers::Lcores(w.to_vec()));
        Lcores { master, workers, cpus: BTreeMap::from_iter(cpus.iter().copied()), ..Lcores::default() }
    }

    fn workers(lcores: &Lcores, allowed: &[u32]) -> Vec<(u32, u32)> {
        let places = place(lcores, "0-1023", allowed).unwrap();
        assert_eq!(places.master.lcore, lcores.master);
        places.workers.iter().map(|p| (p.lcore, p.cpu)).collect()
    }

    #[test]
    fn auto_is_one_worker_on_each_allowed_cpu_but_the_masters() {
        assert_eq!(workers(&lcores(None, 0, &[]), &[0, 1, 2, 3]), [(1, 1), (2, 2), (3, 3)]);
        assert_eq!(workers(&lcores(None, 0, &[]), &[0, 4, 6]), [(4, 4), (6, 6)], "as under taskset");
        assert_eq!(workers(&lcores(None, 0, &[]), &[4, 6]), [(4, 4), (6, 6)], "the master's is not among them");
        assert_eq!(workers(&lcores(None, 0, &[(0, 2)]), &[0, 1, 2]), [(2, 0), (1, 1)], "lcore 0 is the master");
        assert_eq!(workers(&lcores(None, 1, &[]), &[0, 1]), [(0, 0)]);
    }

    #[test]
    fn auto_ends_with_the_lcores_that_dpdk_has() {
        let cpus: Vec<u32> = (0..300).collect();
        let all = workers(&lcores(None, 0, &[]), &cpus);
        assert_eq!(all.len(), 127);
        assert_eq!((all[0], all[126]), ((1, 1), (127, 127)));
        let high: Vec<u32> = (200..210).collect();
        assert_eq!(workers(&lcores(None, 0, &[]), &high)[0], (1, 200), "CPUs beyond the last lcore get free lcores");
        let mut lcores: Vec<u32> = workers(&lcores(None, 5, &[(5, 7)]), &cpus).iter().map(|(l, _)| *l).collect();
        lcores.sort();
        lcores.dedup();
        assert_eq!(lcores.len(), 127, "none twice");
        assert!(!lcores.contains(&5));
    }

    #[test]
    fn auto_on_the_masters_cpu_alone_says_what_to_write_instead() {
        let error = place(&lcores(None, 0, &[]), "0", &[0]).unwrap_err().to_string();
        assert!(error.starts_with("lcores.workers = \"auto\": there is no CPU but the master's"), "{error}");
        assert!(error.contains("workers = [1] and cpus = { 1 = 0 }"), "{error}");
    }

    #[test]
    fn an_lcore_on_a_cpu_that_is_not_there_is_named_with_the_remedy() {
        let ok = |workers: &[u32], cpus, online| {
            place(&lcores(Some(workers), 0, cpus), online, &[]).map(drop).map_err(|e| e.to_string())
        };
        assert_eq!(ok(&[1], &[], "0-1"), Ok(()));
        assert_eq!(ok(&[1, 9], &[], "0-3,8-9"), Ok(()));
        assert_eq!(ok(&[1, 2], &[(2, 0)], "0-1"), Ok(()));
        assert_eq!(ok(&[1], &[], ""), Ok(()), "an unknown machine is left to the EAL");
        let error = ok(&[1, 2], &[], "0-1").unwrap_err();
        assert!(
            error.starts_with("lcores: lcore 2 is to run on CPU 2, but this machine has the CPUs 0-1: "),
            "{error}"
        );
    }
}
