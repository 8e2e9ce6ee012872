"""What each case is to reach, as a ratio within one run, and the judgement over its figures."""


def _seconds(result, contender):
    return result["rows"][contender]["seconds"]


def _others(result):
    return {name: row for name, row in result["rows"].items()
            if not name.startswith(("pullama", "limit:"))}


def faster_than_each(result):
    ours = _seconds(result, "pullama")
    name, row = min(_others(result).items(), key=lambda item: item[1]["seconds"])
    return ours < row["seconds"], f"{row['seconds'] / ours:.2f} times as fast as the next, {name}"


def near_the_limit(result):
    ours = _seconds(result, "pullama")
    limits = {name: row["seconds"] for name, row in result["rows"].items() if name.startswith("limit:")}
    name = max(limits, key=limits.get)
    return limits[name] / ours >= 0.85, f"{limits[name] / ours:.2f} of the limit ({name[7:]}); goal 0.85"


def least_cpu_of_those_that_verify(result):
    ours = result["rows"]["pullama"]["cpu_s"]
    name, row = min(_others(result).items(), key=lambda item: item[1]["cpu_s"])
    return ours <= row["cpu_s"], f"CPU: {row['cpu_s'] / ours:.2f} times ours for the next, {name}"


def memory_under_64_mib(result):
    most = max(row["rss_kb"] for name, row in result["rows"].items() if name.startswith("pullama")) / 1024
    return most < 64, f"{most:.1f} MiB at its peak; goal 64"


def nine_tenths_of_the_connections(result):
    carried = result["bytes"] / _seconds(result, "pullama --connections 16") / (16 * 20e6)
    return carried >= 0.9, f"{carried:.2f} of what 16 connections at 20 MB/s carry together, whole run; goal 0.9"


def constant_and_short(result):
    ours = [row["seconds"] for name, row in result["rows"].items() if name.startswith("pullama")]
    return max(ours) < 0.3, f"{min(ours):.2f} to {max(ours):.2f} s over all sizes; goal 0.3"


def within_300_ms(result):
    worst = max(row["seconds"] for name, row in result["rows"].items() if name.startswith("pullama"))
    return worst < 0.3, f"{worst * 1000:.0f} ms at most; goal 300"


def fewer_twice_and_sooner(result):
    ours = result["rows"]["pullama"]
    others = _others(result)
    text = f"{ours['sent_bytes'] / 1e6:.1f} MB twice, first byte after {ours['seconds'] * 1000:.0f} ms; " + ", ".join(
        f"{name} {row['sent_bytes'] / 1e6:.1f} MB, {row['seconds'] * 1000:.0f} ms" for name, row in others.items())
    return all(ours["sent_bytes"] < row["sent_bytes"] and ours["seconds"] < row["seconds"]
               for row in others.values()), text


def one_round_trip_and_20_ms(result):
    more = _seconds(result, "pullama") - _seconds(result, "curl of the manifest, stat of the blobs")
    return more <= 0.02, f"{more * 1000:+.0f} ms against curl of the manifest and stat; goal 20"


def no_faster_than_linear(result):
    rows = sorted((int(name.split()[-2]), row["seconds"]) for name, row in result["rows"].items())
    (few, first), (many, last) = rows[0], rows[-1]
    return last / first <= many / few, f"{many // few} times the entries, {last / first:.1f} times the time"


def under_three_percent(result):
    none = _seconds(result, "pullama, nobody watches")
    worst = max(row["seconds"] for name, row in result["rows"].items() if name != "pullama, nobody watches")
    return worst / none < 1.03, f"{(worst / none - 1) * 100:+.1f} % time with the most watchers; goal 3"


def under_50_ms(result):
    ours = _seconds(result, "pullama")
    return ours < 0.05, f"{ours * 1000:.0f} ms, the client's start included; goal 50"


def four_fifths_of_openssl(result):
    ours = _seconds(result, "pullama")
    name, row = next(iter(_others(result).items()))
    return row["seconds"] / ours >= 0.8, f"{row['seconds'] / ours:.2f} of the rate of {name}; goal 0.8"


GOALS = {
    "blob.http": [faster_than_each, near_the_limit, least_cpu_of_those_that_verify, memory_under_64_mib],
    "blob.https": [faster_than_each, memory_under_64_mib],
    "line.capped": [faster_than_each, nine_tenths_of_the_connections, memory_under_64_mib],
    "line.delay": [faster_than_each],
    "line.loss": [faster_than_each],
    "state.small_blobs": [faster_than_each],
    "state.last_byte_to_name": [constant_and_short],
    "state.resume": [fewer_twice_and_sooner],
    "state.first_request": [within_300_ms],
    "state.already_there": [one_round_trip_and_20_ms],
    "store.list_models": [under_50_ms],
    "store.verify": [four_fifths_of_openssl],
    "push.push": [faster_than_each],
    "scale.list_models": [no_faster_than_linear],
    "scale.queue_list": [no_faster_than_linear],
    "scale.watchers": [under_three_percent],
}
