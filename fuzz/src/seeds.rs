//! The captures of `tests/pcap` as inputs to begin with: `seeds FOLDER-OF-CASES FOLDER-OF-INPUTS`.

use gatun_engine::testkit::pcap;
use std::path::Path;

fn main() -> std::io::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let [_, cases, to] = args.as_slice() else {
        eprintln!("usage: seeds FOLDER-OF-CASES FOLDER-OF-INPUTS");
        std::process::exit(2);
    };
    std::fs::create_dir_all(to)?;
    for case in std::fs::read_dir(cases)? {
        let case = case?;
        let mut packets = Vec::new();
        for (port, name) in ["in.wan.pcap", "in.lan.pcap"].iter().enumerate() {
            let bytes = std::fs::read(case.path().join(name)).unwrap_or_default();
            let frames = pcap::read(&bytes).unwrap_or_default();
            packets.extend(frames.into_iter().map(|p| (p.nanos, port as u8, p.frame)));
        }
        packets.sort();
        let mut input = vec![0];
        // More than this is too slow to change one thing at a time.
        for (_, port, frame) in packets.into_iter().take(12) {
            let len = (frame.len().min(1_600) as u16).to_be_bytes();
            input.extend([port | 2, len[0], len[1]]);
            input.extend(frame.iter().take(1_600));
        }
        if input.len() > 1 {
            std::fs::write(Path::new(to).join(case.file_name()), input)?;
        }
    }
    Ok(())
}
