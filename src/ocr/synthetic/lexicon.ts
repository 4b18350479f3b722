/**
 * The words that the synthetic lines are made of: names of banks, places, companies and people, purposes of payment, and common
 * words for general text. A word added here may bring a character that the dictionary (charset.ts) lacks; a test finds it.
 */

/** A list of words written as one text, to be read and edited as prose. */
const words = (text: string): readonly string[] => text.trim().split(/\s+/)

export const banks = words(`
  中国工商银行 中国农业银行 中国银行 中国建设银行 交通银行 中国邮政储蓄银行 招商银行 中信银行 中国光大银行 华夏银行
  中国民生银行 广发银行 平安银行 兴业银行 浦发银行 浙商银行 渤海银行 恒丰银行 北京银行 上海银行 江苏银行 宁波银行
  南京银行 杭州银行 徽商银行 长沙银行 成都银行 郑州银行 青岛银行 农村商业银行`)

export const cities = words(`
  北京 上海 天津 重庆 广州 深圳 珠海 佛山 东莞 中山 惠州 汕头 杭州 宁波 温州 绍兴 嘉兴 金华 台州 南京 苏州 无锡 常州 南通
  扬州 徐州 镇江 济南 青岛 烟台 潍坊 临沂 福州 厦门 泉州 合肥 芜湖 南昌 九江 武汉 宜昌 长沙 株洲 郑州 洛阳 西安 成都 绵阳
  昆明 贵阳 南宁 桂林 海口 三亚 石家庄 唐山 保定 太原 大同 沈阳 大连 长春 吉林 哈尔滨 大庆 呼和浩特 包头 兰州 西宁 银川
  乌鲁木齐 拉萨`)

export const districts = words(`
  浦东 朝阳 海淀 西湖 天河 福田 南山 高新区 开发区 城东 城西 城南 城北 解放路 人民路 中山路 建设路 和平路 新华路 长江路
  黄河路 迎宾路 光明 东门 西门 南湖 五一路 文化路 胜利路 科技园 火车站 江北 滨江 余杭 吴中 宝安`)

export const outlets = words(`支行 支行 支行 支行 分行 分行营业部 营业部 分理处 储蓄所`)

export const brands = words(`
  华信 恒达 鑫源 瑞丰 宏图 金桥 天成 永泰 博雅 创新 联合 远大 东方 长城 龙舟 泰和 信诚 顺通 安居 绿洲 蓝海 万达通 中科 星辰
  国联 三江 四海 八方 百川 千里 双鹤 银河 明珠 飞跃 凯旋 盛世 康健 优品 聚力 晨光`)

export const trades = words(`
  科技 贸易 电子 电子商务 建筑工程 物流 食品 医疗器械 机械制造 信息技术 网络科技 文化传媒 装饰材料 化工 服装 汽车销售
  房地产开发 物业管理 广告 餐饮管理 教育咨询 投资 环保设备 纺织 印刷包装 农产品 国际货运 软件 五金 能源`)

export const companyEndings = words(
  `有限公司 有限公司 有限公司 有限责任公司 股份有限公司 集团有限公司 分公司 合伙企业 经营部 厂`,
)

export const institutions = words(`
  市财政局 国家税务总局 市社会保险基金 住房公积金管理中心 自来水公司 供电局 燃气公司 电信分公司 第一人民医院 实验小学
  师范大学 慈善总会 红十字会 工会委员会`)

export const surnames = [
  ...'王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢姚沈钟姜崔谭陆范汪廖石金韦贾夏付方邹熊白孟秦邱侯江尹薛',
  '欧阳',
  '上官',
  '司马',
]

export const givenCharacters = [
  ...'伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华建国文辉玲红春梅云峰宇浩欣怡子涵梓轩雨晨思佳俊雪琳志鹏海燕晓东宏亮美玉兰凤洁嘉琪若曦天佑博一诺安德成光荣庆生永福贵宝',
]

export const purposes = words(`
  货款 工资 奖金 差旅费 房租 水电费 服务费 咨询费 手续费 材料款 工程款 设备款 运输费 装修费 广告费 往来款 借款 还款 贷款利息
  保险费 学费 医药费 捐款 备用金 报销款 预付款 尾款 定金 押金 保证金 投资款 分红 退款 税款 社保费 公积金 物业管理费 培训费
  会议费 稿费 加班费 劳务费 代发工资 货物采购 电话费 停车费 维修费 伙食费 采购办公用品 支付宝转账 微信转账 网银转账
  跨行转账 现金存入 现金支取 利息收入 理财赎回 购买基金 信用卡还款 结息`)

export const remarks = words(`
  业务回单 电子回单 客户回单 付款回单 收款回单 记账凭证 进账单 转账支票 现金支票 电汇凭证 补打回单 仅供核对 重复打印无效
  银行盖章有效 交易成功 已受理 已复核 请核对 经办 复核 授权 记账 出纳 会计主管 第一联 第二联 第三联 银行留存 客户留存
  付款通知 收款通知 贷方凭证 借方凭证 普通 加急 实时到账 次日到账 网上银行 手机银行 柜面 自助终端`)

/** What stands in round and in oblong seals, below or instead of a name. */
export const roundSeals = words(`财务专用章 业务专用章 公章 合同专用章 回单专用章 发票专用章`)
export const oblongSeals = words(`转讫 现金付讫 现金收讫 业务清讫 核算用章 受理凭证`)

/** Everyday words, for lines that are not about money. */
export const commonWords = words(`
  我们 你们 他们 自己 什么 时候 没有 可以 因为 所以 如果 但是 虽然 这个 那个 一些 许多 问题 生活 工作 学习 学生 老师 朋友 孩子
  母亲 父亲 先生 女士 世界 国家 社会 经济 政治 文化 历史 科学 技术 发展 教育 人民 政府 法律 城市 农村 地方 今天 明天 昨天
  现在 以后 以前 早上 晚上 中午 时间 开始 结束 知道 认为 觉得 希望 喜欢 需要 应该 能够 必须 已经 正在 还是 或者 不过 只有
  非常 特别 比较 更加 最后 首先 其次 然后 重要 主要 一般 特殊 简单 复杂 容易 困难 方便 安全 健康 快乐 美丽 干净 安静 热闹
  天气 温度 阳光 下雨 风景 山水 河流 海洋 森林 花草 动物 植物 空气 环境 食物 牛奶 面包 米饭 水果 蔬菜 鸡蛋 牛肉 茶叶 咖啡
  衣服 鞋子 帽子 桌子 椅子 房子 门窗 电脑 电话 手机 电视 报纸 杂志 图书 照片 音乐 电影 体育 足球 篮球 跑步 游泳 旅行 飞机
  火车 汽车 地铁 公路 桥梁 车站 机场 酒店 饭店 商店 市场 超市 医院 医生 护士 学校 大学 教室 图书馆 公园 博物馆 办公室 会议
  计划 方法 结果 原因 条件 情况 关系 作用 影响 变化 进步 成功 失败 经验 机会 能力 力量 精神 思想 感情 声音 颜色 形状 大小
  数量 质量 速度 方向 位置 距离 高度 重量 价格 成本 利润 收入 支出 投资 产品 生产 消费 服务 管理 组织 企业 单位 部门 领导
  职员 工人 农民 军人 警察 律师 记者 作家 演员 歌手 冠军 英雄 新闻 消息 报告 文章 故事 语言 文字 词语 句子 意思 解决 处理
  分析 研究 调查 讨论 决定 选择 参加 支持 反对 保护 提高 降低 增加 减少 改变 继续 停止 出现 消失 建立 建设 完成 实现 准备
  介绍 表示 说明 证明 注意 记得 忘记 相信 怀疑 担心 害怕 高兴 难过 生气 感谢 道歉 帮助 照顾 关心 爱护 尊重 信任 理解 原谅
  春天 夏天 秋天 冬天 星期 月份 年级 世纪 过去 未来 当时 同时 突然 慢慢 往往 曾经 将来 永远 立刻 马上 总是 几乎 到处 周围
  左边 右边 前面 后面 里面 外面 上面 下面 中间 旁边 东西 南北 眼睛 耳朵 鼻子 嘴巴 头发 身体 双手 心脏 血液 皮肤 疾病 药品`)

/** Latin words as they stand in general text and on receipts. */
export const latinWords = words(`
  bank receipt total date time account name number amount balance branch card cash credit debit page order item price code
  Bank Receipt Total Date Time Account Name Number Amount Balance Branch Customer Copy Payment Transfer Service Welcome Thank
  BANK RECEIPT TOTAL DATE TIME ACCOUNT NAME AMOUNT BRANCH CUSTOMER COPY PAYMENT TRANSFER ATM POS CNY RMB USD HKD EUR VISA
  TypeScript Longzhou Paddle OCR quick brown fox jumps over lazy dog zebra vex jumbo wizard KPMG Quartz Xbox Jazz`)
