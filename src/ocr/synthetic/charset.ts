/**
 * The dictionary of the base recogniser: what it can read, in the order of its classes. Class 0 is CTC's blank and stands before
 * them. The order is part of every trained model, so characters are only ever added at the end of a group together with a new
 * base model; the model carries its own copy of the list, and nothing depends on the length of this one.
 */

/** Digits, Latin letters and ASCII punctuation: everything from ! to ~, in the order of ASCII. */
const ascii = String.fromCharCode(...Array.from({ length: 94 }, (_, i) => 33 + i))

const fullWidthDigits = '０１２３４５６７８９'

/** Chinese punctuation, full-width signs, and signs that stand on receipts. */
const marks = '，。、；：？！（）《》〈〉【】「」“”‘’…—～·￥％＃＆＊＋－／＜＝＞＠＄¥×°№※'

/** The 600 commonest characters, commonest first, by the word counts of jieba's dictionary. */
const common = `
  一是人了不在有大中国和为这上他个地年来我会以到时要出的生学说道民家子也成行下们于后就发自之对得主长可过天作分方用多你着部能市等业全里工公经本都而高政法面门动日进区事代那去心小同北定开产前其军还然起种所
  如现理机体表力好外与文当两实重新三么只山水关明从化平建又制南内西没此将员名手最东头者月间无安看见各城十相但已些正口通想度加第她合院物性战由位常点海意场武使次二向治因立数样身情入原问把路被并利石老教万知
  级量任江及应省资委务元美特期世湖回系比气汉总展电科金先声提品设或义王社很统处四首共马形己儿司太目基领队直计别女权话少流命至报米给打变果书清活几州华解议更称程今决张导术府才保交放管结师便走达族反再题色五
  京河接条规式县白它改风光运信受什组听布百济党指论强做取技黄神选记斯真却职号界件花类何眼兵传带空干农边据集联古广完质阳难增历史专官每住商即步认车台林必死游举线言皇土团收考求德叫近备研争非具李众连调感转笑
  革该持始英克士尔让拉思根格造较际亲单朝红型价校约器字段周亚深候则功属积快图火千准究往极育装许参半令吃观鱼精办像帝八复影告远群包整构料随划算象容示投势热值夫网望源息语股铁断派速怎需片爱律纪支早况病境证编
  越局推满且列觉服双未居除乐企引标确织初青志率项飞球节察龙响药站施均消客失轻存低甚般击曾防请离落显罗营足素视护副食创余照兴占巴虽洲村费易试星木黑左宝置跟央识维采六底宫房音环案批切斗富乡另倒若按查故突责严
`

/** What else the lexicon, the amounts in capitals and everyday text use, in the order of Unicode. */
const receipts = `
  丁七丰临丽乌乎乙九习买云亮亿仅介付仟份伍优伙伟佑佛佰佳供侯俊修借停健储兰写冠冬冯净减凤凭凯刘刚刷刻助劳勇医午博卡卢印厂厦叁友句右叶吉吕吨吴呼咖咨哈唐售啡善喜嘉嘴园困围圳坊块培壹夏够奖奶姓姚姜娜娟媒孙孟
  孩宁宇宋宏宜室害宾尊尹尾岛峰崔川差币希帮帽庄庆店康廖彭徐微徽忘怀怕怡急恒惠慈慢户扬押担招择拾捌捐授摘效敏斤旁旅旋昆昌春昨晓晚晨普景曦曹朋朱朵杂材杜束杨杭杰析柒柜株核桂桌桥梁梅梓械森椅植欢欣欧款歉歌止殊
  母永汇汕汪汽沂沈沙泉波注泰泳洁洋洛津浙浦浩涛润液涵淀渤温滨演潍潘烟熊燃燕父牛状玉玖玲珠班琪琳瑞田甲留疑疗疾皮盖盛睛磊票福秀秋租秦税稿窗章端笔筑签简篮纳纸纺终绍络继续绵绿耳聚肆肉肖肤肥胜胡脏脑舟艳芜芳苏
  范茶草荣莞菜萨董蒋蓄蓝蔡蔬薛蛋血衣补袁角警讨讫训词诚询诺谅谢谭财败账货购贰贵贷贸贾赎赵超跃跑距跨轩软辉输辰迎退途邓邮邱邹郑郭酒鑫钟银销锡镇闹闻附陆陈降限险雄雅雨雪零霞静鞋韦韩顺须顾预颜额餐饭饮饰馆验魏
  鲁鸡鹏鹤鼻齐
`

const withoutLayout = (text: string): string => text.replaceAll(/\s/g, '')

/** The characters that the base recogniser knows; the blank between groups of digits comes last, as in PaddleOCR's dictionaries. */
export const charset: readonly string[] = [
  ...(ascii + fullWidthDigits + marks + withoutLayout(common) + withoutLayout(receipts)),
  ' ',
]

/**
 * The dictionary as a file of PaddleOCR's form: one character a line, UTF-8. The final blank is left out, to be added when it is
 * read (`use_space_char: true`).
 */
export function formatDictionary(characters: readonly string[] = charset): string {
  return characters.filter((character) => character !== ' ').join('\n') + '\n'
}
