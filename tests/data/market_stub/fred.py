"""FRED: observations by vintage, XML or JSON."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
from starlette.requests import Request
from starlette.responses import Response

from tests.data.market_stub.table import UTC
from tests.data.market_stub.wire import fred_doc, fred_error


class FredFace:
    """The routes below /fred."""

    async def fred(self, req: Request) -> Response:
        q, what = req.query_params, req.path_params["what"].rstrip("/")
        sid = q.get("series_id", "").upper()
        js = q.get("file_type", "xml") == "json"

        def fail(code, text):
            return fred_error(code, text, js)

        def build(rules, kinds):
            key = q.get("api_key", "")
            if self.cfg["fred_need_key"] and not (len(key) == 32 and key.isalnum() and key == key.lower()):
                if not key:
                    return fail(
                        400,
                        "Bad Request.  Variable api_key is not set.  Read https://fred.stlouisfed.org/docs/api/api_key.html for more information.",
                    )
                return fail(
                    400,
                    "Bad Request.  The value for variable api_key is not a 32 character alpha-numeric lower-case string.  Read https://fred.stlouisfed.org/docs/api/api_key.html for more information.",
                )
            g = self.macro.rows.get(sid)
            if what == "series/search":
                words = q.get("search_text", "").upper()
                hits = [s for s in self.macro.rows if words in s]
                return fred_doc(
                    "seriess",
                    {"count": len(hits), "offset": 0, "limit": 1000},
                    "series",
                    [self.fred_info(s) for s in hits],
                    js,
                )
            if g is None or "unknown_symbol" in kinds:
                return fail(400, "Bad Request.  The series does not exist.")
            if what == "series":
                return fred_doc(
                    "seriess",
                    {"realtime_start": self.today(), "realtime_end": self.today()},
                    "series",
                    [self.fred_info(sid)],
                    js,
                )
            if what == "series/vintagedates":
                ds = sorted(set(g["realtime_start"]))
                return fred_doc(
                    "vintage_dates", {"count": len(ds), "offset": 0, "limit": 10000}, "vintage_date", ds, js
                )
            if what != "series/observations":
                return fail(404, "Not Found.  The requested resource is not in this stub.")
            a, b = q.get("observation_start", "1600-01-01"), q.get("observation_end", "9999-12-31")  # both inclusive
            rs, re_ = q.get("realtime_start", self.today()), q.get("realtime_end", self.today())
            d = g[(g["date"] >= a) & (g["date"] <= b) & (g["realtime_start"] <= re_) & (g["realtime_end"] >= rs)].copy()
            if "realtime_start" not in q:
                d = d.drop_duplicates("date", keep="last")
            if q.get("sort_order") == "desc":
                d = d.iloc[::-1]
            for r in rules:
                n, mid = len(d), len(d) // 2
                if r["kind"] == "empty_result":
                    d = d.iloc[:0]
                elif r["kind"] == "nan_rows" and n:
                    d.iloc[mid : mid + r.get("n", 3), d.columns.get_loc("value")] = np.nan
                elif r["kind"] == "malformed" and n:
                    d["value"] = d["value"].astype(object)
                    d.iloc[mid, d.columns.get_loc("value")] = r.get("text", "N/A")
                elif r["kind"] == "dup_ts" and n:
                    d = pd.concat([d, d.iloc[mid : mid + r.get("n", 2)]])
                elif r["kind"] == "out_of_order":
                    d = d.sample(frac=1, random_state=r.get("seed", 0))
            many = kinds.get("fred_vintages")
            dates = {x for x in g["realtime_start"] if rs <= x <= re_}
            if many and len(dates) > many.get("most", 2):
                return fail(
                    400,
                    f"Bad Request.  There are {len(dates)} vintage dates in the specified real-time period: {rs} to {re_}."
                    f"  This exceeds the maximum number of vintage dates allowed ({many.get('most', 2)}).",
                )
            d["realtime_start"] = d["realtime_start"].clip(lower=rs)  # as the real service does
            lim, off = int(q.get("limit", 100000)), int(q.get("offset", 0))
            lim = min(lim, kinds.get("fred_rows", {}).get("most", lim))
            rows = [
                {
                    "realtime_start": x["realtime_start"],
                    "realtime_end": x["realtime_end"],
                    "date": x["date"],
                    "value": "." if not isinstance(x["value"], str) and pd.isna(x["value"]) else str(x["value"]),
                }
                for _, x in d.iloc[off : off + lim].iterrows()
            ]
            head = {
                "realtime_start": rs,
                "realtime_end": re_,
                "observation_start": a,
                "observation_end": b,
                "units": "lin",
                "output_type": 1,
                "file_type": "json" if js else "xml",
                "order_by": "observation_date",
                "sort_order": q.get("sort_order", "asc"),
                "count": len(d),
                "offset": off,
                "limit": lim,
            }
            return fred_doc("observations", head, "observation", rows, js)

        return await self.answer("fred", req, sid, build)

    def today(self) -> str:
        return dt.datetime.fromtimestamp(self.now, UTC).date().isoformat()

    def fred_info(self, sid: str) -> dict:
        g = self.macro.rows[sid]
        return {
            "id": sid,
            "realtime_start": self.today(),
            "realtime_end": self.today(),
            "title": f"{sid} (stub)",
            "observation_start": g["date"].min(),
            "observation_end": g["date"].max(),
            "frequency": "Monthly",
            "frequency_short": "M",
            "units": "Index",
            "units_short": "Index",
            "seasonal_adjustment": "Not Seasonally Adjusted",
            "seasonal_adjustment_short": "NSA",
            "last_updated": f"{g['date'].max()} 07:31:02-05",
            "popularity": "1",
            "notes": "",
        }
