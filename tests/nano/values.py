"""Names, numbers and words that the dialogues talk about, drawn at random.

Every value belongs to one of two worlds by a hash of its text: the training world or the held-out
one. The two never share a value, so a held-out score can only come from copying.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TypeVar
from zlib import crc32

T = TypeVar("T")


def _words(text: str) -> list[str]:
    return text.split()


ONSETS = _words("b c d f g h j k l m n p r s t v w y z br ch cl dr gr kr pl sh st th tr")
NUCLEI = _words("a e i o u a e i o ai ea ou")
CODAS = _words("n r l s m d k x th ng")
PLACE_CHARACTERS = (
    "北京上海广州深圳杭南成都重庆武汉西安天津苏长沙青岛大连厦门宁波福合肥郑济石家庄太原春哈尔"
    "滨沈阳昆明贵林拉萨兰银川乌鲁木齐呼和浩特口三亚东珠佛山温无锡徐绍台嘉湖金华义洛开封新平顶"
    "安丘许昌商周驻马店信阳桃源云龙凤虎白红绿蓝黑黄江河洋溪泉井峰岭谷原野林森松柏竹梅花草石岩"
    "沙土田水火风雨雪霜星月日光辉玉宝珍文武英雄国民富强永乐康泰吉祥如意美丽香甜古今东中前后左"
    "右高低远近千百万双四五六七八九十王李张刘陈杨赵孙胡朱何郭罗梁宋郑谢韩唐冯于董萧程曹袁邓傅"
    "曾彭吕"
)
OTHER_CHARACTERS = PLACE_CHARACTERS + (
    "小大人子女儿明亮晶莹欣然思念爱心诗书琴画歌舞飞鱼鸟燕鹏鹤象猫狗果茶酒米饭衣食住行学校师友生活年岁春夏秋冬"
    "晨晓夜晚今昨是的了我你他她们这那有不在到和也都很好多少快慢新旧长短冷热干净轻重问答说话听看写读打开关门"
)
REAL_CITIES_ZH = _words(
    "北京 上海 广州 深圳 杭州 南京 成都 重庆 武汉 西安 天津 苏州 长沙 青岛 大连 厦门 宁波 福州 "
    "合肥 郑州 济南 太原 长春 哈尔滨 沈阳 昆明 贵阳 桂林 拉萨 兰州 银川 海口 三亚 珠海 佛山 温州 "
    "无锡 洛阳"
)
REAL_CITIES_EN = _words(
    "Beijing Shanghai London Paris Berlin Tokyo Madrid Rome Oslo Vienna Lisbon Dublin Moscow "
    "Cairo Sydney Boston Chicago Seattle Toronto Mumbai Delhi Seoul Bangkok Jakarta Nairobi Lagos "
    "Lima"
)
WORDS_ZH = _words(
    "明天 今天 晚上 早上 一起 吃饭 开会 见面 回家 学习 看书 电影 音乐 天气 很好 谢谢 朋友 老师 "
    "学生 快乐 生日 我们 你们 去 来 在 公园 学校 苹果 茶 咖啡 猫 狗 工作 旅行 照片 电话 下午 周末 "
    "准时"
)
WORDS_EN = _words(
    "hello good morning evening see you tomorrow tonight meet lunch dinner at the school park "
    "home please call me back happy birthday thanks friend teacher book movie music tea coffee "
    "cat dog work travel photo train is late on time we are here"
)


def held_out(value: object) -> bool:
    """Whether a value is kept from training."""
    return crc32(str(value).encode()) % 8 == 0


class Values:
    """Random values of one world; `rng` is also the dialogues' own source of choices."""

    def __init__(self, seed: int, *, held: bool = False) -> None:
        self.rng = random.Random(seed)
        self._held = held

    def fresh(self, make: Callable[[], T]) -> T:
        """A value of this world."""
        while held_out(value := make()) != self._held:
            pass
        return value

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def pick(self, options: Sequence[T]) -> T:
        return self.rng.choice(options)

    def name(self, zh: bool) -> str:
        """A city's or person's name; sometimes in the other language, as people do."""
        return self.fresh(self._name_zh if zh != self.chance(0.08) else self._name_en)

    def _name_zh(self) -> str:
        if self.chance(0.15):
            return self.pick(REAL_CITIES_ZH)
        if self.chance(0.02):  # outside the vocabulary: spelled in bytes
            return "".join(chr(self.rng.randint(0x4E00, 0x9FA5)) for _ in range(2))
        characters = OTHER_CHARACTERS if self.chance(0.2) else PLACE_CHARACTERS
        return "".join(self.rng.choices(characters, k=self.rng.choice((2, 2, 2, 3, 3, 4))))

    def _name_en(self) -> str:
        if self.chance(0.15):
            name = self.pick(REAL_CITIES_EN)
        else:
            name = "".join(
                self.pick(ONSETS)
                + self.pick(NUCLEI)
                + (self.pick(CODAS) if self.chance(0.3) else "")
                for _ in range(self.rng.choice((2, 2, 3)))
            ).capitalize()
        return name.lower() if self.chance(0.1) else name

    def integer(self, digits: int = 0) -> int:
        """A natural number of this many digits (0: of one to six)."""
        n = digits or self.rng.choice((1, 2, 2, 3, 3, 4, 5, 6))
        return self.fresh(
            lambda: self.rng.randint(10 ** (n - 1), 10**n - 1) if n > 1 else self._digit()
        )

    def _digit(self) -> int:
        return self.rng.randint(2, 9)

    def temperature(self) -> int:
        return self.fresh(lambda: self.rng.randint(-25, 42))

    def decimal(self) -> float:
        return self.fresh(lambda: round(self.rng.uniform(1, 1000), self.rng.choice((1, 2))))

    def numbers(self, most: int = 6) -> list[int]:
        return self.fresh(lambda: self.rng.choices(range(1, 200), k=self.rng.randint(3, most)))

    def letters(self) -> str:
        """A ticker symbol."""
        make = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        return self.fresh(lambda: "".join(self.rng.choices(make, k=self.rng.randint(2, 5))))

    def phrase(self, zh: bool) -> str:
        """A short text without quotes."""
        k = self.rng.randint(2, 5)
        if zh:
            return self.fresh(lambda: "".join(self.rng.sample(WORDS_ZH, k)))
        return self.fresh(lambda: " ".join(self.rng.sample(WORDS_EN, k)))

    def expression(self) -> str:
        """Arithmetic such as `12*(3+4)`."""
        return self.fresh(self._expression)

    def _expression(self) -> str:
        a, b, c = (self.rng.randint(1, 10 ** self.rng.randint(1, 3)) for _ in range(3))
        one, two = self.rng.choices("+-*/", k=2)
        forms = (
            f"{a}{one}{b}",
            f"{a}{one}{b}{two}{c}",
            f"{a}{one}({b}{two}{c})",
            f"({a}{one}{b}){two}{c}",
        )
        return self.pick(forms)
