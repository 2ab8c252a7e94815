// Streamlit's own words in the page's language, and what happens told to screen readers.
//
// Streamlit writes its buttons, hints and names for screen readers in English, and has no setting
// for that. They are changed in place, which React bears: nodes stay its own, and what it writes
// anew is looked at anew. Texts are changed only within PLACES, where no conversation stands.
(() => {
  "use strict";
  if (window.pageWords) return;
  window.pageWords = true;

  const CHINESE = new Map(Object.entries({
    "Add files": "添加文件",
    "App pages": "页面",
    "Ascending": "升序",
    "Autosize": "自动列宽",
    "Cancel": "取消",
    "Chat message from assistant": "助手的消息",
    "Chat message from user": "你的消息",
    "Clear value": "清除",
    "Close": "关闭",
    "Close Search": "关闭搜索",
    "Close fullscreen": "退出全屏",
    "Collapse sidebar": "收起侧栏",
    "Copied": "已复制",
    "Copy": "复制",
    "Copy column name": "复制列名",
    "Copy to clipboard": "复制到剪贴板",
    "Copy version to clipboard": "复制版本号",
    "Dark": "深色",
    "Dataframe column menu": "列菜单",
    "Decrement": "减小",
    "Download as CSV": "下载为 CSV",
    "Drag and drop a file here": "把文件拖到这里",
    "Drag and drop files here": "把文件拖到这里",
    "Expand sidebar": "展开侧栏",
    "Format": "格式",
    "Fullscreen": "全屏",
    "Hide column": "隐藏列",
    "Increment": "增大",
    "Light": "浅色",
    "Link to heading": "此标题的链接",
    "Main menu": "主菜单",
    "Next Result": "下一个结果",
    "No options": "没有选项",
    "Notifications": "通知",
    "Open": "打开",
    "Pin column": "固定列",
    "Previous Result": "上一个结果",
    "Print": "打印",
    "Record screen": "录制屏幕",
    "Running...": "运行中…",
    "Search": "搜索",
    "Send message": "发送",
    "Show/hide columns": "显示或隐藏列",
    "Sidebar": "侧栏",
    "Skip to main content": "跳到正文",
    "Sort ascending": "升序排列",
    "Sort descending": "降序排列",
    "Statistics": "统计",
    "Stop": "停止",
    "Stop script": "停止",
    "Submit": "提交",
    "System": "跟随系统",
    "Theme": "主题",
    "Type to search": "输入以搜索",
    "Unpin column": "取消固定",
    "Upload": "选择文件",
    "Upload a file": "上传文件",
    "Upload files": "上传文件",
    "file upload": "选择文件",
  }));
  const PATTERNS = [
    [/^Help for (.+)$/s, "$1：说明"],
    [/^Remove (.+)$/s, "移除 $1"],
    [/^(\d+[.\d]*) ?([KMG]?B) per file( • .+)?$/, "每个文件最多 $1 $2$3"],
    [/^File must be (.+) or smaller\.$/, "文件不能超过 $1。"],
    [/^(.+) files are not allowed\.$/s, "不接受 $1 文件。"],
    [/^Press Enter to apply$/, "按 Enter 应用"],
    [/^Press (.+)\+Enter to apply$/, "按 $1+Enter 应用"],
    [/^Press Enter to submit form$/, "按 Enter 提交"],
    [/^Press (.+)\+Enter to submit form$/, "按 $1+Enter 提交"],
    [/^Made with Streamlit (v[\d.]+)$/, "由 Streamlit $1 驱动"],
  ];
  const PLACES = [
    "[data-testid=stFileUploaderDropzone]",
    "[data-testid=stFileUploaderFileErrorMessage]",
    "[data-testid=InputInstructions]",
    "[data-testid=stTooltipContent]",
    "[data-testid=stTooltipErrorContent]",
    "[data-testid=stMainMenuPopover]",
    "[data-testid=stDataFrameColumnMenu]",
    "[data-testid=stStatusWidget]",
    "[data-testid=stSkipLink]",
    "a[href='#stMain']",
  ].join(",");
  const ZONES = "[data-testid=stFileUploaderDropzone]";
  const NAMES = ["aria-label", "title", "placeholder"];
  const SAYS = "[data-page-says]";
  const NAMED = NAMES.map((name) => `[${name}]`).join(",");

  let language = "";
  let told;  // what happened last; what had happened before the page came is not told
  const texts = new WeakMap();  // text nodes and elements, to what Streamlit wrote there

  function inChinese(english) {
    const known = CHINESE.get(english.trim());
    if (known) return known;
    const [head, ...rest] = english.split(": ");  // "Fullscreen: " and what a figure shows
    if (rest.length && CHINESE.has(head)) return `${CHINESE.get(head)}：${rest.join(": ")}`;
    for (const [pattern, chinese] of PATTERNS) {
      if (pattern.test(english)) return english.replace(pattern, chinese);
    }
    return english;
  }

  // What it says now is ours, or Streamlit has written anew.
  function said(node, key, now) {
    const kept = texts.get(node) ?? {};
    const english = kept[key]?.ours === now ? kept[key].english : now;
    const ours = language === "zh" ? inChinese(english) : english;
    texts.set(node, { ...kept, [key]: { english, ours } });
    return ours;
  }

  function name(element) {
    for (const key of NAMES) {
      const now = element.getAttribute(key);
      if (!now) continue;
      const ours = said(element, key, now);
      if (ours !== now) element.setAttribute(key, ours);
    }
  }

  function write(place) {
    const walker = document.createTreeWalker(place, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      if (node.parentElement.closest("[data-testid=stIconMaterial]")) continue;
      const ours = said(node, "text", node.nodeValue);
      if (ours !== node.nodeValue) node.nodeValue = ours;
    }
  }

  // Two buttons of the same name on one page: each says also what its upload is for.
  function tell(zone) {
    const button = zone.querySelector("button");
    const label = zone.getAttribute("aria-label");
    const name = `${button?.querySelector("p")?.textContent}: ${label}`;
    if (button && label && button.getAttribute("aria-label") !== name) {
      button.setAttribute("aria-label", name);
    }
  }

  function look(node) {
    const element = node.nodeType === Node.ELEMENT_NODE ? node : node.parentElement;
    if (!element) return;
    const place = element.closest(PLACES);
    if (place) {
      write(place);
      if (place.matches(ZONES)) tell(place);
    }
    for (const inner of element.querySelectorAll(PLACES)) write(inner);
    for (const zone of element.querySelectorAll(ZONES)) tell(zone);
    if (element.matches(NAMED)) name(element);
    for (const inner of element.querySelectorAll(NAMED)) name(inner);
    heed(element);
  }

  // A region has to be there before it speaks, and to stay.
  const region = document.createElement("div");
  region.setAttribute("role", "status");
  region.setAttribute("aria-live", "polite");
  region.id = "page-announcements";
  region.style = "position:fixed;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)";
  document.body.append(region);

  function heed(element) {
    const found = [...element.querySelectorAll(`[data-page-language],${SAYS}`)];
    if (element.matches(`[data-page-language],${SAYS}`)) found.push(element);
    for (const each of found) {
      each.closest("[data-testid=stElementContainer]")?.style.setProperty("display", "none");
      const { pageLanguage } = each.dataset;
      if (pageLanguage && pageLanguage !== language) {
        language = pageLanguage;
        document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
        look(document.body);
      }
    }
  }

  // Until a run of the page has ended, what was said before stands beside what is said now, and
  // either may be built anew meanwhile: which is which cannot be told until one is left.
  function announce() {
    const standing = document.querySelectorAll(SAYS);
    if (standing.length !== 1) return;
    const { pageSays } = standing[0].dataset;
    if (pageSays === told) return;
    if (told !== undefined) region.textContent = pageSays;
    told = pageSays;
  }

  look(document.body);
  announce();
  new MutationObserver((changes) => {
    for (const change of changes) {
      if (region.contains(change.target)) continue;
      if (change.type === "childList") change.addedNodes.forEach(look);
      else if (change.type === "characterData") look(change.target);
      else {
        name(change.target);
        if (change.target.matches(ZONES)) tell(change.target);
      }
    }
    announce();
  }).observe(document.documentElement, {
    subtree: true, childList: true, characterData: true, attributeFilter: NAMES,
  });
})();
