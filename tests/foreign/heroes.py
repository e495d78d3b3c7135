"""The heroes of FastAPI's tutorial: create, list, read, update and delete, kept in memory."""

from __future__ import annotations

from itertools import count
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Security
from fastapi.security import APIKeyHeader
from pydantic import BaseModel

KEY = "heroes-key-0123456789"
_key_header = APIKeyHeader(name="X-Key", auto_error=True)


def _checked(key: Annotated[str, Security(_key_header)]) -> None:
    if key != KEY:
        raise HTTPException(status_code=403, detail="wrong key")


class HeroCreate(BaseModel):
    name: str
    age: int | None = None
    notes: dict[str, Any] = {}


class HeroPublic(HeroCreate):
    id: int


class HeroUpdate(BaseModel):
    name: str | None = None
    age: int | None = None
    notes: dict[str, Any] | None = None


app = FastAPI(dependencies=[Security(_checked)])
heroes: dict[int, dict[str, Any]] = {}
numbers = count(1)
_MISSING: dict[int | str, dict[str, Any]] = {404: {"description": "No such hero."}}


@app.post("/heroes/", response_model=HeroPublic)
def create_hero(hero: HeroCreate) -> Any:
    number = next(numbers)
    heroes[number] = {"id": number, **hero.model_dump()}
    return heroes[number]


@app.get("/heroes/", response_model=list[HeroPublic])
def read_heroes(offset: int = 0, limit: Annotated[int, Query(le=100)] = 100) -> Any:
    return list(heroes.values())[::-1][offset : offset + limit]


@app.get("/heroes/{hero_id}", response_model=HeroPublic, responses=_MISSING)
def read_hero(hero_id: int) -> Any:
    if hero_id not in heroes:
        raise HTTPException(status_code=404, detail="Hero not found")
    return heroes[hero_id]


@app.put("/heroes/{hero_id}", response_model=HeroPublic, responses=_MISSING)
def replace_hero(hero_id: int, hero: HeroCreate) -> Any:
    read_hero(hero_id)
    heroes[hero_id] = {"id": hero_id, **hero.model_dump()}
    return heroes[hero_id]


@app.patch("/heroes/{hero_id}", response_model=HeroPublic, responses=_MISSING)
def update_hero(hero_id: int, hero: HeroUpdate) -> Any:
    read_hero(hero_id).update(hero.model_dump(exclude_unset=True))
    return heroes[hero_id]


@app.delete("/heroes/{hero_id}", responses=_MISSING)
def delete_hero(hero_id: int) -> Any:
    read_hero(hero_id)
    del heroes[hero_id]
    return {"ok": True}
