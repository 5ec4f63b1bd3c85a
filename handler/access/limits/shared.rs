//! The same counts for all instances, in Redis: for each caller a hash with a field for each second, looked at and changed in
//! one step, by the clock of Redis.

use std::sync::LazyLock;

use redis::Script;

use super::window::{SECONDS, Standing};
use crate::cache::redis::Redis;

/// KEYS: who. ARGV: the limit, the seconds that are looked at. Returns whether he gets in, how many are left, and the wait.
static ADMIT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local now = tonumber(redis.call('TIME')[1])
        local limit, seconds = tonumber(ARGV[1]), tonumber(ARGV[2])
        local sum, oldest, gone = 0, nil, {}
        local fields = redis.call('HGETALL', KEYS[1])
        for i = 1, #fields, 2 do
          local second, count = tonumber(fields[i]), tonumber(fields[i + 1])
          if second <= now - seconds then
            gone[#gone + 1] = fields[i]
          else
            sum = sum + count
            if oldest == nil or second < oldest then oldest = second end
          end
        end
        if #gone > 0 then redis.call('HDEL', KEYS[1], unpack(gone)) end
        local admitted = 0
        if sum < limit then
          admitted = 1
          sum = sum + 1
          redis.call('HINCRBY', KEYS[1], now, 1)
          redis.call('EXPIRE', KEYS[1], seconds + 1)
          if oldest == nil then oldest = now end
        end
        local wait = (oldest or now) + seconds - now
        return {admitted, math.max(limit - sum, 0), math.max(wait, 1)}
        ",
    )
});

/// Counts one who wants in; none when Redis does not answer.
pub(super) async fn admit(redis: &Redis, who: &str, limit: u32) -> Option<Standing> {
    let (admitted, remaining, wait): (u8, u32, u64) =
        redis.run(&ADMIT, who, &[u64::from(limit), SECONDS as u64]).await.ok()?;
    // A clock that went back far makes a long wait, and the counts are gone before.
    Some(Standing { is_admitted: admitted == 1, remaining, wait: wait.min(SECONDS as u64) })
}
