//! What a frame reader holds between frames.

#![allow(clippy::unwrap_used, missing_docs)]

use ironbridge::bridge::frame::{Kind, Reader, Vectors, begin};

fn feed(reader: &mut Reader<Vec<u8>>, bytes: &[u8]) {
    reader.space()[..bytes.len()].copy_from_slice(bytes);
    reader.filled(bytes.len());
}

#[test]
fn a_reader_that_gave_its_memory_back_reads_on() {
    let mut frame = Vec::new();
    begin(&mut frame, Kind::Cancel, 0, &7_u64.to_le_bytes()).finish_small(&mut frame);
    let mut reader = Reader::new(1 << 20, 4096);
    for _ in 0..3 {
        feed(&mut reader, &frame);
        assert_eq!(reader.next_frame(&Vectors).unwrap().unwrap().call_id().unwrap(), 7);
        reader.shrink();
        assert!(reader.next_frame(&Vectors).unwrap().is_none());
    }
}

#[test]
fn a_reader_keeps_its_memory_while_part_of_a_frame_is_held() {
    let mut frame = Vec::new();
    begin(&mut frame, Kind::Cancel, 0, &9_u64.to_le_bytes()).finish_small(&mut frame);
    let (first, rest) = frame.split_at(5);
    let mut reader = Reader::new(1 << 20, 4096);
    feed(&mut reader, first);
    assert!(reader.next_frame(&Vectors).unwrap().is_none());
    reader.shrink();
    feed(&mut reader, rest);
    assert_eq!(reader.next_frame(&Vectors).unwrap().unwrap().call_id().unwrap(), 9);
}
