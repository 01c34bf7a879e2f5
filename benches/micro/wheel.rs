//! A timer filed and fired, while a million others wait.

use super::{Micro, timed};
use gatun_engine::addr::ConnId;
use gatun_engine::conn::key::SplitMix;
use gatun_engine::mem::Heap;
use gatun_engine::time::{Tick, Ticks};
use gatun_engine::tw::{HORIZON, Wheel};

const TIMERS: u32 = 1_000_000;

pub(super) fn run(micro: &mut Micro) {
    let mut now = Tick(0);
    let mut random = SplitMix(6);
    let mut wheel = Wheel::new(&Heap, TIMERS as usize, now).expect("memory");
    for id in 0..TIMERS {
        file(&mut wheel, ConnId(id), now, &mut random);
    }
    micro.run("wheel/fire-file", "fired, and filed again within the minute at random", |n| {
        let (done, spent) = timed(|| {
            let mut done = 0;
            while done < n {
                now = now + Ticks(1);
                while let Some((id, _)) = wheel.pop(now) {
                    file(&mut wheel, id, now, &mut random);
                    done += 1;
                }
            }
            done
        });
        (done, spent)
    });
    assert_eq!(wheel.pending(), TIMERS as usize);
}

fn file(wheel: &mut Wheel<Heap>, id: ConnId, now: Tick, random: &mut SplitMix) {
    wheel.file(id, now + Ticks(1 + (random.next() % u64::from(HORIZON.0)) as u32)).expect("room");
}
