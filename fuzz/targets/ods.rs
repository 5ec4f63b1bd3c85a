#![no_main]

knowledge_worker_fuzz::fuzz_reader!("ods");
