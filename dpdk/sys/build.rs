//! Finds libdpdk, binds what the crate `dpdk` uses of it, compiles the shim of its inline functions, and tells cargo what to
//! link.
//!
//! Fails with the names of the packages to install when libdpdk, its version or libclang is not what it needs.

use std::path::{Path, PathBuf};
use std::process::{Command, exit};
use std::{env, panic};

const PACKAGES: &str = "libdpdk-dev libclang-dev pkg-config";

/// The libraries that hold what is bound. PMDs are not among them: libdpdk loads those as plugins when EAL starts. The one
/// exception is net_ring, of which a function is called.
const LIBRARIES: &[&str] = &["rte_eal", "rte_ethdev", "rte_mbuf", "rte_mempool", "rte_ring", "rte_net", "rte_net_ring"];

/// Functions, as bindgen's regular expressions; each must match a whole name.
const FUNCTIONS: &[&str] = &[
    "dpdk_errno",
    "rte_(strerror|version|rdtsc|get_tsc_hz|socket_id)",
    "rte_eal_(init|cleanup|remote_launch|wait_lcore|get_lcore_state|has_hugepages)",
    "rte_(lcore_id|lcore_cpuset|lcore_to_socket_id|get_main_lcore|get_next_lcore|thread_register|thread_unregister)",
    "rte_(zmalloc_socket|free|malloc_get_socket_stats)",
    "rte_(memseg_list_walk|mem_event_callback_register)",
    "rte_mempool_(free|avail_count|in_use_count|lookup|put_bulk)",
    "rte_pktmbuf_(pool_create|alloc|alloc_bulk|free|free_bulk|reset|data_room_size)",
    "rte_ring_(create|free|enqueue_burst|dequeue_burst|count|get_capacity|lookup|set_prod_htd_max)",
    "rte_dev_(probe|remove|name)",
    "rte_eth_(rx_burst|tx_burst|from_rings|find_next_of|find_next|link_get_nowait|stats_get|xstats_get|xstats_get_names)",
    "rte_eth_(rx_queue_setup|tx_queue_setup|macaddr_get|promiscuous_enable|promiscuous_disable|promiscuous_get)",
    "rte_eth_(allmulticast_enable|allmulticast_disable|allmulticast_get)",
    "rte_eth_dev_(configure|start|stop|close|info_get|adjust_nb_rx_tx_desc|set_mtu|get_mtu|get_name_by_port|socket_id)",
    "rte_eth_dev_(rss_reta_query|rss_reta_update|rss_hash_conf_get|rss_hash_update|is_valid_port|get_port_by_name)",
    "rte_flow_(validate|create|destroy)",
    "rte_(convert_rss_key|softrss|softrss_be)",
];

const TYPES: &[&str] = &[
    "rte_flow_(item_eth|item_ipv4|item_ipv6|item_tcp|item_udp|action_queue)",
    "rte_(ipv4_hdr|ipv6_hdr|tcp_hdr|udp_hdr|eth_xstat|eth_xstat_name|eth_link|eth_rss_reta_entry64)",
];

const CONSTANTS: &[&str] = &[
    "DPDK_.*",
    "RTE_PKTMBUF_HEADROOM",
    "RTE_(MAX_LCORE|MAX_ETHPORTS|ETH_NAME_MAX_LEN|ETH_RETA_GROUP_SIZE|ETH_XSTATS_NAME_SIZE|MEMPOOL_CACHE_MAX_SIZE)",
    "RTE_(RING_NAMESIZE|MEMPOOL_NAMESIZE|ETHER_ADDR_LEN)",
    "RING_F_.*",
];

fn main() {
    println!("cargo::rerun-if-changed=wrapper.h");
    println!("cargo::rerun-if-changed=build.rs");
    let library = find();
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let flags = compiler_flags();
    bind(&flags, &out);
    compile_shim(&flags, &out);
    link(&library);
}

fn find() -> pkg_config::Library {
    match pkg_config::Config::new().cargo_metadata(false).probe("libdpdk") {
        Ok(library) if library.version.starts_with("22.11") => library,
        Ok(library) => fail(&format!(
            "libdpdk is version {}, but 22.11 is needed. Debian 12 has it: apt-get install {PACKAGES}",
            library.version
        )),
        Err(_) => fail(&format!(
            "libdpdk was not found by pkg-config. On Debian 12: apt-get install {PACKAGES}. Elsewhere: set PKG_CONFIG_PATH to the directory of libdpdk.pc"
        )),
    }
}

/// `pkg-config --cflags` as it is: the pkg-config crate drops `-include rte_config.h` and `-march=`.
fn compiler_flags() -> Vec<String> {
    let pkg_config = env::var_os("PKG_CONFIG").unwrap_or_else(|| "pkg-config".into());
    let output = Command::new(pkg_config).args(["--cflags", "libdpdk"]).output();
    let text = match output {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
        _ => fail(&format!("pkg-config --cflags libdpdk failed. On Debian 12: apt-get install {PACKAGES}")),
    };
    let mut flags: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    flags.push("-D_GNU_SOURCE".to_owned());
    flags
}

fn bind(flags: &[String], out: &Path) {
    let mut builder = bindgen::Builder::default()
        .header("wrapper.h")
        .clang_args(flags)
        .wrap_static_fns(true)
        .wrap_static_fns_path(out.join("shim"))
        .generate_comments(false)
        .derive_default(true)
        .prepend_enum_name(false)
        .default_enum_style(bindgen::EnumVariation::Consts)
        .fit_macro_constants(false)
        .formatter(bindgen::Formatter::None)
        .opaque_type("rte_arp_ipv4|rte_arp_hdr|rte_l2tpv2.*|rte_gtp_psc.*")
        .blocklist_function("rte_memcpy|rte_mov.*|_mm.*")
        // What Rust never looks into stays opaque: it keeps the bindings small and their layout honest.
        .opaque_type("rte_mempool|rte_ring|rte_device|rte_flow")
        .rust_target(bindgen::RustTarget::stable(85, 0).unwrap_or_default())
        .rust_edition(bindgen::RustEdition::Edition2024);
    for name in FUNCTIONS {
        builder = builder.allowlist_function(name);
    }
    for name in TYPES {
        builder = builder.allowlist_type(name);
    }
    for name in CONSTANTS {
        builder = builder.allowlist_var(name);
    }
    // A libclang that cannot be loaded is a panic in clang-sys, not an error.
    panic::set_hook(Box::new(|_| ()));
    let bindings = panic::catch_unwind(panic::AssertUnwindSafe(move || builder.generate()));
    drop(panic::take_hook());
    match bindings {
        Ok(Ok(bindings)) => {
            bindings.write_to_file(out.join("bindings.rs")).expect("OUT_DIR is writable");
        }
        Ok(Err(error)) => {
            fail(&format!("bindgen could not read the DPDK headers: {error}. Are all of these installed: {PACKAGES}?"))
        }
        Err(_) => fail(&format!("libclang could not be loaded. On Debian 12: apt-get install {PACKAGES}")),
    }
}

fn compile_shim(flags: &[String], out: &Path) {
    let mut build = cc::Build::new();
    build.file(out.join("shim.c")).include(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).warnings(false);
    for flag in flags {
        build.flag(flag);
    }
    // On the path of every burst: optimised in every profile.
    if let Err(error) = build.opt_level(3).debug(false).try_compile("dpdk_shim") {
        fail(&format!(
            "the shim of DPDK's inline functions did not compile: {error}. A C compiler is needed: apt-get install gcc"
        ));
    }
}

fn link(library: &pkg_config::Library) {
    for path in &library.link_paths {
        println!("cargo::rustc-link-search=native={}", path.display());
    }
    for name in LIBRARIES {
        println!("cargo::rustc-link-lib=dylib={name}");
    }
    // A libdpdk outside of the loader's directories is found at run time only by a run path, which a dependency cannot set.
    let foreign = library.link_paths.iter().filter(|path| !path.starts_with("/usr/lib") && !path.starts_with("/lib"));
    let link_args: Vec<String> = foreign.map(|path| format!("-Wl,-rpath,{}", path.display())).collect();
    let libdir = pkg_config::get_variable("libdpdk", "libdir").unwrap_or_default();
    println!("cargo::metadata=version={}", library.version);
    println!("cargo::metadata=libdir={libdir}");
    println!("cargo::metadata=link_args={}", link_args.join(" "));
}

fn fail(reason: &str) -> ! {
    // One line: cargo shows no more of an error.
    println!("cargo::error={}", reason.lines().map(str::trim).collect::<Vec<_>>().join(" "));
    exit(1)
}
