"""The web, searched by Tavily. Offered once TAVILY_API_KEY is set."""

import os
from typing import Annotated

import httpx2

from tools import ToolError, secret, tool

_URL = "https://api.tavily.com"
MAX_EXCERPT = 500  # characters of each result


@tool(effects="network", time_limit=20, secrets=["TAVILY_API_KEY"])
def web_search(
    query: Annotated[str, "What to look for, in any language"],
    count: Annotated[int, "How many results, 1 to 10"] = 5,
) -> list[dict[str, str]]:
    """Searches the web and returns titles, addresses and excerpts of pages. 搜索网页。"""
    try:
        response = httpx2.post(
            os.environ.get("SEARCH_URL", _URL).rstrip("/") + "/search",
            json={"query": query, "max_results": min(max(count, 1), 10)},
            headers={"Authorization": f"Bearer {secret('TAVILY_API_KEY')}"},
            timeout=15,
        )
        found = response.raise_for_status().json()["results"]
    except httpx2.HTTPStatusError as error:
        status = error.response.status_code
        hint = " The key may be wrong or used up." if status in (401, 403, 429, 432) else ""
        raise ToolError(f"The search service answered {status}.{hint}") from error
    except (httpx2.HTTPError, ValueError, KeyError) as error:
        raise ToolError(f"The search service cannot be reached: {error}.") from error
    if not found:
        raise ToolError(f"Nothing was found for {query!r}.")
    return [
        {"title": each["title"], "url": each["url"], "excerpt": each["content"][:MAX_EXCERPT]}
        for each in found
    ]
