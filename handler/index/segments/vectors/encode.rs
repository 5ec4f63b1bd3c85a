//! Embeddings become the bytes of a vector file; CPU-heavy, so call it off the async threads.

use super::rotation::{Rotation, length};
use super::{BLOCK, Facts, Layout};

/// The largest value of a two-byte code; the high byte is rounded, so that 127 of them and a half fit.
const HIGHEST_CODE: f32 = 127.0 * 256.0 + 127.0;

/// Makes the file for `rows` rows; `embedding` gives that of a row, `dimensions` numbers or none, and is asked twice for
/// each.
pub fn encode(dimensions: usize, rows: usize, embedding: impl Fn(usize) -> Option<Vec<f32>>) -> Vec<u8> {
    let (layout, rotation) = (Layout::new(dimensions, rows), Rotation::new(dimensions));
    let rotated = |row: usize| {
        let values = embedding(row).filter(|values| values.len() == dimensions && length(values) > 0.0)?;
        Some(rotation.rotate(&values))
    };
    let mean = mean(layout, rotated);
    let mut file = vec![0; layout.size_bytes()];
    file[..super::HEADER_BYTES].copy_from_slice(&layout.header());
    file[layout.mean()].copy_from_slice(bytemuck::cast_slice(&mean));
    for row in 0..rows {
        let Some(mut remainder) = rotated(row) else { continue };
        remainder.iter_mut().zip(&mean).for_each(|(value, mean)| *value -= mean);
        write_row(&mut file, layout, row, &remainder, &mean);
    }
    file
}

fn mean(layout: Layout, rotated: impl Fn(usize) -> Option<Vec<f32>>) -> Vec<f32> {
    let (mut sums, mut count) = (vec![0.0_f64; layout.padded], 0_u32);
    for values in (0..layout.rows).filter_map(rotated) {
        sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += f64::from(value));
        count += 1;
    }
    sums.into_iter().map(|sum| (sum / f64::from(count.max(1))) as f32).collect()
}

fn write_row(file: &mut [u8], layout: Layout, row: usize, remainder: &[f32], mean: &[f32]) {
    let facts = facts(remainder, mean);
    let at = layout.facts().start + row * size_of::<Facts>();
    file[at..at + size_of::<Facts>()].copy_from_slice(bytemuck::bytes_of(&facts));
    let (high, low) = (layout.high().start + row * layout.padded, layout.low().start + row * layout.padded);
    for (at, value) in remainder.iter().enumerate() {
        let code = (value / facts.step).round().clamp(-HIGHEST_CODE, HIGHEST_CODE) as i32;
        let high_byte = (code + 128) >> 8;
        file[high + at] = high_byte as u8;
        file[low + at] = (code - (high_byte << 8)) as u8;
        if *value >= 0.0 {
            // Little endian: byte 0 of a word holds the first eight of its numbers.
            let word = row / BLOCK * (layout.padded / BLOCK) * BLOCK + at / BLOCK * BLOCK + row % BLOCK;
            file[layout.bits().start + word * 8 + at % BLOCK / 8] |= 1 << (at % 8);
        }
    }
}

/// The estimator of RaBitQ: with `s` the signs of a remainder `r`, `<q, s> * |r|^2 / <s, r>` estimates `<q, r>` without
/// bias, with a standard error of `|q| |r| sqrt((1 - f^2) / f^2 / (n - 1))` where `f = <s, r> / (|s| |r|)`.
fn facts(remainder: &[f32], mean: &[f32]) -> Facts {
    let (length, numbers) = (length(remainder), remainder.len() as f32);
    let absolute: f32 = remainder.iter().map(|value| value.abs()).sum();
    let highest = remainder.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    // A remainder of nothing (all rows alike) has a step all the same: that is how a row with an embedding is known.
    let step = (highest / HIGHEST_CODE).max(f32::MIN_POSITIVE);
    if absolute <= f32::MIN_POSITIVE {
        return Facts { step, ..Facts::default() };
    }
    let alike = (absolute / (numbers.sqrt() * length)).min(1.0);
    Facts {
        offset: remainder.iter().zip(mean).map(|(value, mean)| value * mean).sum(),
        sign_scale: length * length / absolute,
        sign_error: length * ((1.0 - alike * alike) / (alike * alike) / (numbers - 1.0)).sqrt(),
        step,
    }
}
